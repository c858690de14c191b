"""Reduced trainings are found by their settings, whatever made them so."""

from pathlib import Path
from typing import Any

import examples
import pandas as pd
import pytest
from examples import folder

from lth.analysis import registry, results
from lth.analysis.full import EVERY_LEVEL, frankle2019, marked
from lth.analysis.scorecard import scorecard

__all__ = ["folder"]
FULL = {"net": {"data": "digits", "steps": 2000, "batch_size": 60, **EVERY_LEVEL}}
USUAL = {"model": "net", "data": "digits", "steps": 2000, "batch_size": 60}


def reduced(**row: Any) -> str | None:
    """What is reduced in a row, beside one that is not."""
    table = marked(pd.DataFrame([{**USUAL, **row}, USUAL]), FULL)
    assert "reduced" not in table or pd.isna(table["reduced"].iloc[1])
    return table["reduced"].iloc[0] if "reduced" in table else None


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({}, None),
        ({"steps": 2001}, None),
        ({"steps": 20}, "steps 20 instead of 2000"),
        ({"batch_size": 59, "steps": 4000}, "batch_size 59 instead of 60"),
        ({"data": "mnist_5k", "steps": 1}, "data mnist_5k instead of digits, steps 1 instead of 2000"),
        ({"model": "mlp"}, "model mlp instead of net"),
        ({"levels": "[7]", "schedule": "iterative"}, "levels [7] instead of all"),
        ({"levels": "[7]", "schedule": "one_shot"}, None),  # each is pruned from the dense net in any case
        ({"reduced": "lr.at [10] instead of [100]"}, "lr.at [10] instead of [100]"),
        (
            {"reduced": "levels [3, 7] instead of 18, steps 5 instead of 50", "levels": "[3, 7]", "steps": 5},
            "steps 5 instead of 2000, levels [3, 7] instead of 18",
        ),
        (
            {
                "branch_steps": 7,
                "reduced": "steps 5 instead of 50, levels [3] instead of 18",
                "steps": 5,
                "levels": "[3]",
            },
            "steps 5 instead of 50, levels [3] instead of 18",
        ),
        ({"model": "mlp", "reduced": "steps 5 instead of 50"}, "model mlp instead of net, steps 5 instead of 50"),
    ],
)
def test_what_is_less_than_declared_is_reduced(row: dict[str, Any], expected: str | None) -> None:
    assert reduced(**row) == expected


def test_a_branch_has_steps_of_its_own_where_they_are_declared() -> None:
    rows = [{**USUAL, "branch": name, "steps": steps} for name in ("ticket", "long", "shuffle") for steps in (20, 90)]
    table = marked(pd.DataFrame(rows), {"net": {"steps": {"ticket": 50, "long": 100}}})
    assert table["reduced"].fillna("").to_list() == [
        *("steps 20 instead of 50", ""), *("steps 20 instead of 100", "steps 90 instead of 100"),
        *("steps 20 instead of 50", ""),
    ]  # fmt: skip


def test_without_a_declaration_a_table_is_what_it_was() -> None:
    table = pd.DataFrame([USUAL])
    assert marked(table, {}) is table
    assert marked(table.iloc[:0], FULL).empty


def test_a_file_of_a_net_that_had_less_than_the_paper_says_so() -> None:
    lenet = {"model": "lenet_300_100", "data": "mnist", "steps": 50_000, "batch_size": 60, "branch": "ticket"}
    assert results.reduction("quantization", lenet) is None
    assert results.reduction("quantization", {**lenet, "steps": 40}) == "steps 40 instead of 50000"
    assert results.reduction("mine", {**lenet, "steps": 40}) is None


def test_longer_trainings_of_a_papers_net_keep_its_other_settings() -> None:
    assert frankle2019("conv_2", longer=3, levels=None) == {
        "conv_2": {"data": "cifar10", "steps": 60_000, "batch_size": 60, "levels": None}
    }


def test_fewer_steps_by_an_override_are_reduced_on_the_scorecard(folder: Path) -> None:
    claim = '"41%: above dense", 2.0, "points", partial(gain, percent=41)'
    examples.experiment(folder, "one", [claim])
    with (folder / "one.py").open("a") as file:
        file.write('\n\nFULL = {"net": {"data": "digits", "steps": 3000}}\n')
    examples.commit(folder, examples.tickets("one", {1: (0.90, 0.92), 2: (0.80, 0.83)}))
    (row,) = scorecard(Path("nowhere")).to_dict("records")
    assert (row["scale"], row["verdict"]) == ("reduced", "reduced: not settled")


def test_files_of_a_net_that_was_only_trained_in_reduced_settings_are_reduced(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    examples.experiment(folder, "one", ['"no net", 0.0, "", lowest, {"model": "none"}'])
    size = 'Claim("size", 2.0, "times", partial(file_value, column="smaller", name="int8"), {{"model": "{}"}})'
    with (folder / "one.py").open("a") as file:
        file.write("\n\nfrom lth.analysis.claim import file_value\n")
        file.write('FULL = {"net": {"steps": 3000}, "long": {"steps": 2000}}\n')
        file.write(f"FILES = [{size.format('net')}, {size.format('long')}]\n")
    parts = [examples.tickets("one", {1: (0.9, 0.9)}, model=model) for model in ("net", "long")]
    examples.commit(folder, pd.concat(parts, ignore_index=True))
    usual = {"experiment": "one", "data": "digits", "replicate": 1, "level": 0, "density": 1.0, "format": "int8",
             "bytes": 10, "accuracy": 0.9, "smaller": 2.5}  # fmt: skip
    files = pd.DataFrame([{**usual, "model": model} for model in ("net", "long")])
    files.to_csv(folder / "results" / "one_files.csv", index=False)
    assert list(scorecard(Path("nowhere"))["verdict"])[1:] == ["reduced: agrees (n = 1)", "agrees (n = 1)"]


# ---- of the project


def test_every_committed_training_of_a_net_is_of_a_declared_one() -> None:
    for name in registry.names():
        rows = results.tickets(registry.load(name), name, Path("nowhere"))
        assert rows.empty or set(rows.loc[rows["experiment"] == name, "model"]) <= set(registry.load(name).FULL)


def test_resnet_20_with_400_steps_is_reduced_and_the_lenet_beside_it_is_not() -> None:
    rows = results.tickets(registry.load("structure"), "structure", Path("nowhere"))
    assert rows[rows["model"] == "lenet_300_100"]["reduced"].isna().all()
    assert set(rows.loc[rows["model"] == "resnet_20", "reduced"]) == {"steps 400 instead of 30000"}
