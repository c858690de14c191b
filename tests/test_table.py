"""Tables: one row per trained ticket, one per evaluation, and the summary."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import shell
from small import adam, recipe

from lth import UserError, branch, criterion, distribution, init, job, rewind, schedule, structure
from lth.analysis import summary
from lth.analysis.branches import branches
from lth.analysis.variants import variants
from lth.engine import Callback
from lth.job import Branch, Job
from lth.store import Store, columns, records, table
from lth.store.file import read_json, write_json

JOB = Job(
    name="small",
    recipe=recipe(),
    init=init.glorot_normal,
    criterion=criterion.magnitude,
    distribution=distribution.by_kind,
    structure=structure.weight,
    schedule=partial(schedule.iterative, linear=0.5, output=0.5),
    rewind=rewind.weights,
    levels=1,
    branches={"reinitialize": Branch(branch.reinitialize)},
    device="cpu",
)


def run(what: Job, root: Path) -> None:
    for _ in job.run(what, Store(root), Callback(), lambda _: None):
        pass


def evaluations(validation_losses: list[float]) -> pd.DataFrame:
    """Evaluations at steps 0, 10, 20, ...; accuracies encode the step."""
    steps = 10 * np.arange(len(validation_losses))
    return pd.DataFrame(
        {
            "step": steps,
            "validation_loss": validation_losses,
            "validation_accuracy": steps / 100,
            "test_accuracy": steps / 1000,
        }
    )


def tickets(**columns: Any) -> pd.DataFrame:
    """A table by hand: two replicates of three levels, the last with a control."""
    usual = {
        "experiment": "one",
        "model": "net",
        "data": "digits",
        "branch": ["ticket", "ticket", "ticket", "ticket", "reinitialize", "reinitialize"],
        "draw": 0,
        "replicate": [1, 2, 1, 2, 1, 2],
        "level": [0, 0, 3, 3, 3, 3],
        "density": [1.0, 1.0, 0.512, 0.512, 0.512, 0.512],
        "early_stop_step": [400, 600, 300, 300, 700, 800],
        "early_stop_test_accuracy": [0.97, 0.98, 0.9801, 0.9803, 0.96, 0.97],
        "steps": 1000,
    }
    return pd.DataFrame({**usual, **columns})


def test_early_stop_is_the_step_of_the_least_validation_loss_whatever_comes_later() -> None:
    assert columns.early_stop(evaluations([9.0, 0.5, 0.4, 0.6, 0.45])) == {
        "early_stop_step": 20,
        "early_stop_val_loss": 0.4,
        "early_stop_val_accuracy": 0.2,
        "early_stop_test_accuracy": 0.02,
        "final_test_accuracy": 0.04,
    }


def test_of_equal_validation_losses_the_first_counts() -> None:
    assert columns.early_stop(evaluations([9.0, 0.4, 0.5, 0.4, 0.4]))["early_stop_step"] == 10


def test_rows_of_the_same_training_are_counted_once_but_for_other_settings_bits_and_levels() -> None:
    first = {"branch": "mine", "level": 1, "draw": 0, "digest": "a"}
    others = [{**first, key: value} for key, value in [("digest", "b"), ("level", 2), ("branch", "other"), ("bits", 8),
                                                       ("branch_settings", "scaled=True")]]  # fmt: skip
    again = {**first, "draw": 1}
    assert columns.independent([first, again, *others, {**others[0], "draw": 2}]) == [first, *others]


def test_a_loss_that_only_falls_stops_at_the_end_and_one_that_only_rises_at_the_start() -> None:
    assert columns.early_stop(evaluations([3.0, 2.0, 1.0]))["early_stop_step"] == 20
    assert columns.early_stop(evaluations([1.0, 2.0, 3.0]))["early_stop_step"] == 0


def test_one_row_per_trained_ticket_with_all_that_a_reader_needs(tmp_path: Path) -> None:
    run(JOB, tmp_path)
    rows = table.tickets(tmp_path)
    assert set(rows) >= {
        "experiment", "model", "data", "branch", "replicate", "level", "density", "remaining", "total",
        "early_stop_step", "early_stop_val_loss", "early_stop_test_accuracy", "final_test_accuracy", "steps",
        "seconds", "digest",
    }  # fmt: skip
    facts = ["experiment", "model", "data", "branch", "replicate", "level", "density", "remaining", "total", "steps"]
    assert rows[facts].to_numpy().tolist() == [
        ["small", "mlp", "tiny", "reinitialize", 1, 1, 0.5, 97, 194, 20],
        ["small", "mlp", "tiny", "ticket", 1, 0, 1.0, 194, 194, 20],
        ["small", "mlp", "tiny", "ticket", 1, 1, 0.5, 97, 194, 20],
    ]
    assert (rows["seconds"] > 0).all()
    assert rows["digest"].nunique() == 3
    assert not rows.isna().any().any()


def test_the_table_agrees_with_the_learning_curves(tmp_path: Path) -> None:
    run(JOB, tmp_path)
    curves = table.evaluations(tmp_path)
    for _, row in table.tickets(tmp_path).iterrows():
        curve = curves[curves["digest"] == row["digest"]]
        assert list(curve["step"]) == [0, 4, 8, 12, 16, 20]
        assert set(curve["level"]) == {row["level"]}
        assert set(curve["branch"]) == {row["branch"]}
        losses, accuracies = list(curve["validation_loss"]), list(curve["test_accuracy"])
        best = losses.index(min(losses))
        assert row["early_stop_step"] == 4 * best
        assert row["early_stop_val_loss"] == losses[best]
        assert row["early_stop_test_accuracy"] == accuracies[best]
        assert row["final_test_accuracy"] == accuracies[-1]


def test_a_table_of_one_experiment_has_only_its_rows(tmp_path: Path) -> None:
    run(JOB, tmp_path)
    run(replace(JOB, name="other", levels=0), tmp_path)
    assert len(table.tickets(tmp_path)) == 4
    assert len(table.tickets(tmp_path, "other")) == 1
    assert set(table.evaluations(tmp_path, "small")["experiment"]) == {"small"}
    assert table.tickets(tmp_path, "neither").empty


def test_an_empty_or_absent_folder_gives_an_empty_table(tmp_path: Path) -> None:
    assert table.tickets(tmp_path / "nowhere").empty
    assert table.evaluations(tmp_path / "nowhere").empty


def test_a_corrupt_result_is_named_and_skipped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run(JOB, tmp_path)
    file = sorted((tmp_path / "trained").glob("*/evaluations.parquet"))[0]
    file.write_bytes(file.read_bytes()[:-1])
    rows = table.tickets(tmp_path)
    assert len(rows) == 2
    assert file.parent.name not in set(rows["digest"])
    assert str(file) in caplog.text


def test_two_configurations_of_one_experiment_are_never_averaged(tmp_path: Path) -> None:
    plain = replace(JOB, branches={}, levels=0)
    run(plain, tmp_path)
    run(replace(plain, recipe=recipe(optimizer=adam)), tmp_path)
    run(replace(plain, replicates=[2]), tmp_path)
    text = summary.markdown(table.tickets(tmp_path))
    parts = [part.strip().splitlines() for part in text.rpartition("\n\n")[0].split("\n\n###")]
    sections = {part[0]: part[-1].split("|")[-2].strip() for part in parts}
    assert len(sections) == 2
    assert sorted(sections.values()) == ["1", "2"]  # n


def test_the_summary_has_mean_and_sample_deviation_over_replicates_and_n() -> None:
    assert summary.markdown(tickets()).splitlines() == [
        "### one",
        "",
        "| level | % of weights | ticket: early-stop step | ticket: accuracy % | ticket: n "
        "| reinitialize: early-stop step | reinitialize: accuracy % | reinitialize: n |",
        "| ----: | -----------: | ----------------------: | -----------------: | --------: "
        "| ----------------------------: | -----------------------: | --------------: |",
        "|     0 |       100.00 |               500 ± 141 |       97.50 ± 0.71 |         2 "
        "|                               |                          |               0 |",
        "|     3 |        51.20 |                 300 ± 0 |       98.02 ± 0.01 |         2 "
        "|                      750 ± 71 |             96.50 ± 0.71 |               2 |",
        "",
        "On the test set, at early stop; mean ± sample deviation over n replicates and draws.",
    ]


def test_a_table_beside_a_figure_has_the_metric_at_the_end_too() -> None:
    rows = tickets(final_test_accuracy=[0.96, 0.96, 0.97, 0.98, 0.95, 0.95])
    lines = summary.markdown(rows[rows["branch"] == "ticket"], at_end=True).splitlines()
    assert [cell.strip() for cell in lines[2].split("|")[3:-1]] == [
        "ticket: early-stop step", "ticket: accuracy %", "ticket: accuracy % at the end", "ticket: n",
    ]  # fmt: skip
    assert [cell.strip() for cell in lines[5].split("|")[3:-1]] == ["300 ± 0", "98.02 ± 0.01", "97.50 ± 0.71", "2"]
    assert lines[-1].startswith("On the test set, at early stop and at the end; mean")


def test_of_a_single_replicate_no_spread_is_claimed() -> None:
    one = tickets()
    lines = summary.markdown(one[(one["replicate"] == 1) & (one["branch"] == "ticket")]).splitlines()
    assert lines[4:6] == [
        "|     0 |       100.00 |                     400 |              97.00 |         1 |",
        "|     3 |        51.20 |                     300 |              98.01 |         1 |",
    ]


def test_results_of_code_that_changed_since_have_a_section_of_their_own() -> None:
    both = pd.concat([tickets(), tickets(stale="mine.noisy changed")], ignore_index=True)
    titles = [line for line in summary.markdown(both).splitlines() if line.startswith("#")]
    assert titles == ["### one", "### one (stale: mine.noisy changed)"]
    assert {*variants(both)} == {"", "stale=mine.noisy changed"}  # in figures from Python too
    with pytest.raises(UserError, match="rows of code that changed since are not averaged"):
        summary.summary(both)


def test_every_experiment_has_a_section_of_its_own() -> None:
    text = summary.markdown(pd.concat([tickets(), tickets(experiment="another")], ignore_index=True))
    assert [line for line in text.splitlines() if line.startswith("#")] == ["### another", "### one"]


@pytest.mark.parametrize(
    ("values", "digits", "text"),
    [
        ([1.0, 2.0, 3.0], 2, "2.00 ± 1.00"),
        ([2.0, 4.0], 0, "3 ± 1"),
        ([98.306], 2, "98.31"),
        ([5.0, 5.0], 1, "5.0 ± 0.0"),
    ],
)
def test_mean_and_sample_deviation(values: list[float], digits: int, text: str) -> None:
    assert summary.mean_and_spread(pd.Series(values), digits) == text


@pytest.mark.long
def test_the_same_science_run_twice_gives_the_same_table(tmp_path: Path) -> None:
    for name in ("a", "b"):
        run(JOB, tmp_path / name)
    first, second = (table.tickets(tmp_path / name).drop(columns=shell.INCIDENTAL) for name in ("a", "b"))
    pd.testing.assert_frame_equal(first, second, check_exact=True)


def test_reductions_are_not_part_of_a_line_name() -> None:
    both = pd.concat([tickets(reduced="steps 1000 instead of 50000"), tickets(steps=50000)], ignore_index=True)
    titles = [line for line in summary.markdown(both).splitlines() if line.startswith("#")]
    assert titles == ["### one: steps=1000", "### one: steps=50000"]
    assert set(variants(tickets(reduced=["steps 1 instead of 2"] * 3 + [None] * 3))) == {""}


def test_a_whole_number_beside_a_hole_has_no_decimals_in_a_title() -> None:
    rows = pd.concat([tickets(train_from=1), tickets(), tickets(**{"optimizer.lr": 0.5})], ignore_index=True)
    titles = [line for line in summary.markdown(rows).splitlines() if line.startswith("#")]
    assert titles == ["### one: train_from=1", "### one", "### one: optimizer.lr=0.5"]


def test_every_row_has_a_precision_if_one_is_in_bfloat16(tmp_path: Path) -> None:
    for precision in ("bf16", "fp32"):
        run(replace(JOB, branches={}, levels=0, recipe=recipe(precision=precision)), tmp_path)
    assert sorted(table.tickets(tmp_path)["precision"]) == ["bf16", "fp32"]


def test_a_title_leaves_out_the_columns_that_its_rows_do_not_have() -> None:
    both = pd.concat([tickets(**{"start.data": "mnist", "data": "here"}), tickets(data="there")], ignore_index=True)
    titles = [line for line in summary.markdown(both).splitlines() if line.startswith("#")]
    assert sorted(titles) == ["### one: data=here, start.data=mnist", "### one: data=there"]


def test_more_than_four_branches_stand_below_each_other() -> None:
    several = pd.concat([tickets(), *(tickets().query("branch != 'ticket'").assign(branch=name) for name in "abc")])
    assert summary.markdown(several.reset_index(drop=True)).splitlines() == [
        "### one",
        "",
        "| level | % of weights | branch       | early-stop step |   accuracy % |  n |",
        "| ----: | -----------: | ------------ | --------------: | -----------: | -: |",
        "|     0 |       100.00 | ticket       |       500 ± 141 | 97.50 ± 0.71 |  2 |",
        "|     3 |        51.20 | ticket       |         300 ± 0 | 98.02 ± 0.01 |  2 |",
        *(f"|     3 |        51.20 | {name:12} |        750 ± 71 | 96.50 ± 0.71 |  2 |"
          for name in ("a", "b", "c", "reinitialize")),
        "",
        "On the test set, at early stop; mean ± sample deviation over n replicates and draws.",
    ]  # fmt: skip


# ---- bits


def test_nets_of_other_bits_are_summarized_apart() -> None:
    branch = ["ticket", "ticket", "aware", "aware", "aware", "aware"]
    bits = [None, None, 3, 3, 8, 8]
    rows = tickets(branch=branch, level=0, density=1.0, bits=bits, final_test_accuracy=0.9)
    found = summary.summary(rows)
    accuracies = {branch: found.loc[0, (branch, "accuracy %")] for branch in branches(rows)}
    assert accuracies == {"ticket": "97.50 ± 0.71", "aware, 3 bits": "98.02 ± 0.01", "aware, 8 bits": "96.50 ± 0.71"}


def test_beside_quantized_nets_there_is_the_accuracy_at_the_end_with_which_they_begin() -> None:
    rows = tickets(branch=["ticket", "aware"] * 3, level=0, bits=[None, 8] * 3, final_test_accuracy=0.9)
    text = summary.markdown(rows)
    assert "aware, 8 bits: accuracy % at the end" in text
    assert text.endswith(
        "Quantized nets begin at the end of the training of the net that they are made from; "
        "quantization-aware ones are then trained for further steps."
    )
    assert "at the end" not in summary.markdown(rows[rows["bits"].isna()])


def test_rows_of_several_configurations_are_not_averaged() -> None:
    with pytest.raises(UserError, match="rows of criterion=magnitude, criterion=random are not averaged"):
        summary.summary(tickets(criterion=["magnitude", "random"] * 3, level=0, density=1.0))


def test_bits_next_to_fp16_are_text_and_can_be_written(tmp_path: Path) -> None:
    run(JOB, tmp_path)
    file = next((tmp_path / "experiments").rglob("*.json"))
    record = read_json(file)
    plain, *_ = record["rows"].values()
    rows = {f"aware/{bits}": {**plain, "branch": "aware", "bits": bits} for bits in (3, 8, "fp16")}
    write_json(file, {**record, "rows": {"ticket/0/0": plain, **rows}})
    for found in table.tables(tmp_path):
        assert sorted(found["bits"].dropna().unique()) == ["3", "8", "fp16"]
        found.to_parquet("table.parquet")
        assert pd.read_parquet("table.parquet")["bits"].dropna().tolist() == found["bits"].dropna().tolist()
    names = [name for name in branches(table.tickets(tmp_path)) if name.startswith("aware")]
    assert names == ["aware, 3 bits", "aware, 8 bits", "aware, fp16"]


def test_both_tables_are_read_at_once(tmp_path: Path) -> None:
    run(JOB, tmp_path)
    rows, curves = table.tables(tmp_path, "small")
    pd.testing.assert_frame_equal(rows, table.tickets(tmp_path))
    pd.testing.assert_frame_equal(curves, table.evaluations(tmp_path))
    assert all(part.empty for part in table.tables(tmp_path, "neither"))


# ---- older stores


def test_a_record_of_an_older_store_has_the_current_columns(tmp_path: Path) -> None:
    columns = {"model": "net", "scope": "n_of_m", "scope.n": 2, "schedule": "iterative"}
    rows: dict[str, dict[str, object]] = {
        "ticket/0/0": {"branch": "ticket"},
        "aware_3/0/0": {"branch": "aware_3", "bits": 3},
        "aware_fp16/0/0": {"branch": "aware_fp16", "bits": 16},
        "post_training_8/0/0": {"branch": "post_training_8", "bits": 8},
        "my_branch_3/0/0": {"branch": "my_branch_3"},
        "aware/0/0/3": {"branch": "aware", "bits": 3},
        "mine_2-8/0/0": {"branch": "mine_2", "bits": 8},
    }
    folder = tmp_path / "experiments" / "one"
    folder.mkdir(parents=True)
    write_json(folder / "1.json", {"experiment": "one", "columns": columns, "rows": rows})
    (found,) = records(tmp_path)
    assert found["columns"] == {
        "model": "net", "distribution": "by_kind", "structure": "n_of_m", "structure.n": 2, "schedule": "iterative"
    }  # fmt: skip
    assert [(row["branch"], row.get("bits")) for row in found["rows"].values()] == [
        ("ticket", None),
        ("aware", 3),
        ("aware", "fp16"),
        ("post_training", 8),
        ("my_branch_3", None),
        ("aware", 3),
        ("mine_2", 8),
    ]


@pytest.mark.parametrize(("lines", "shown"), [(1, 1), (119, 119), (120, 61)])
def test_a_long_table_is_clipped_for_a_terminal(lines: int, shown: int) -> None:
    text = "\n".join(map(str, range(lines)))
    clipped = summary.clipped(text, "all.md").splitlines()
    assert clipped[:60] == text.splitlines()[:60]
    assert len(clipped) == shown
    assert lines < 120 or clipped[-1] == "... and 60 more lines: all.md"


def test_a_column_of_numbers_and_text_is_text() -> None:
    mixed = pd.DataFrame({"schedule.output": ["None", 0.1, 8.0], "level": [1, 2, 3], "criterion": "magnitude"})
    found = table.as_text(mixed)
    assert found["schedule.output"].tolist() == ["None", "0.1", "8"]
    assert found["level"].tolist() == [1, 2, 3]
    found.to_parquet()
