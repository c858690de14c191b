import math
from pathlib import Path

import pandas as pd
import pytest
import torch

from lth import cli, compress, deploy, plot, run

WORDS = ["model=mlp", "model.hidden=[30]", "levels=[4]", "steps=60", "tracking=none"]
FORMATS = ["float32", "float16", "int8", "int4", "lth", "lth-5", "lth-3"]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two replicates of a small net on the embedded digits, dense and with 41% of its weights."""
    root = tmp_path_factory.mktemp("runs")
    for replicate in (1, 2):
        assert run.main([*WORDS, f"root={root}", f"replicate={replicate}"]) == 0
    return root


@pytest.fixture(scope="module")
def table(store: Path, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    out = tmp_path_factory.mktemp("figures")
    assert cli.main(["compress", *WORDS, f"root={store}", "replicate=1,2", "--bits", "5,3", "--out", str(out)]) == 0
    assert {file.name for file in out.iterdir()} == {
        f"first_ticket_files.{kind}" for kind in ("csv", "md", "png", "pdf")
    }
    return pd.read_csv(out / "first_ticket_files.csv")


def of(table: pd.DataFrame, **where: object) -> pd.DataFrame:
    for column, value in where.items():
        table = table[table[column] == value]
    return table


def test_every_net_is_scored_in_every_format(table: pd.DataFrame) -> None:
    found = table.groupby(["replicate", "level"])["format"].apply(list)
    assert found.to_dict() == {(r, level): FORMATS for r in (1, 2) for level in (0, 4)}


def test_sizes_and_gains_are_relative_to_the_dense_float32_file_of_the_same_replicate(table: pd.DataFrame) -> None:
    for replicate in (1, 2):
        dense = of(table, replicate=replicate, level=0, format="float32").iloc[0]
        assert (dense["smaller"], dense["faster"], dense["points"]) == (1, 1, 0)
        for _, row in of(table, replicate=replicate).iterrows():
            assert row["smaller"] == pytest.approx(dense["bytes"] / row["bytes"])
            assert row["points"] == pytest.approx(100 * (row["accuracy"] - dense["accuracy"]))


def test_a_float32_file_holds_four_bytes_a_parameter_and_a_lossless_one_less_for_a_ticket(table: pd.DataFrame) -> None:
    parameters = 784 * 30 + 30 + 30 * 10 + 10
    assert of(table, level=0, format="float32")["bytes"].between(4 * parameters, 4 * parameters + 2500).all()
    assert (of(table, level=4, format="lth")["bytes"] < 0.5 * 4 * parameters).all()
    for level in (0, 4):
        sizes = [of(table, level=level, format=name)["bytes"].mean() for name in ("lth", "lth-5", "lth-3")]
        assert sizes == sorted(sizes, reverse=True)


def test_a_lossless_file_answers_as_the_net_does_and_the_store_says_the_same(table: pd.DataFrame, store: Path) -> None:
    from lth.table import tickets

    stored = tickets(store).set_index(["replicate", "level"])["final_test_accuracy"]
    for name in ("float32", "lth"):
        ours = of(table, format=name).set_index(["replicate", "level"])["accuracy"]
        assert ours.to_dict() == pytest.approx(stored.to_dict(), abs=0.0021)  # two of 1,000 images may be a tie


def test_an_exported_file_is_the_scored_one(table: pd.DataFrame, store: Path, tmp_path: Path) -> None:
    words = ["export", *WORDS, f"root={store}", "--level", "4", "--format", "lth-5", "--out", str(tmp_path / "net.lth")]
    assert cli.main(words) == 0
    data = (tmp_path / "net.lth").read_bytes()
    assert len(data) == of(table, replicate=1, level=4, format="lth-5")["bytes"].item()
    net, mask = deploy.unpack(data)
    kept = sum(int(m.sum()) for m in mask.values())
    assert kept / (784 * 30 + 300) == pytest.approx(of(table, replicate=1, level=4)["density"].iloc[0])
    assert net(torch.zeros(3, 1, 28, 28)).shape == (3, 10)


def test_an_exported_file_has_a_name_that_says_what_it_is(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["export", *WORDS, f"root={store}", "--format", "int8"]) == 0
    assert Path("first_ticket-1-level-0-int8.onnx").is_file()
    assert "100.00% of the weights" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["--format", "int3"],
            "there is no format 'int3': choose float32, float16, int8, int4, lth, or lth-1 to lth-8",
        ),
        (["--format", "lth-9"], "a weight has 1 to 8 bits"),
        (["--level", "3"], "level 3 of first_ticket"),
        (["replicate=1,2"], "these words stand for 2 jobs"),
        (["replicate=7"], "nothing is stored yet: lth run"),
        (["steps=abc"], "steps"),
    ],
)
def test_what_cannot_be_exported_is_refused_and_said(
    words: list[str], said: str, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["export", *WORDS, f"root={store}", *words]) == 2
    assert said in capsys.readouterr().err
    assert list(Path().iterdir()) == []


def test_compress_leaves_out_what_is_not_stored_and_says_so(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*WORDS, f"root={store}", "replicate=1,7", "--levels", "0", "--bits", "8", "--out", str(tmp_path)]
    assert cli.main(["compress", *words]) == 0
    assert "nothing of first_ticket, mlp, replicate 7, is stored" in capsys.readouterr().err
    assert set(pd.read_csv(tmp_path / "first_ticket_files.csv")["replicate"]) == {1}
    assert cli.main(["compress", *WORDS, f"root={store}", "replicate=7"]) == 2


def test_without_the_dense_net_nothing_is_known_relative_to_it() -> None:
    keys = {"experiment": "e", "model": "m", "data": "d", "replicate": 1, "format": "float32"}
    table = compress.relative(pd.DataFrame([{**keys, "level": 4, "bytes": 10, "ms_128": 1.0, "accuracy": 0.9}]))
    assert all(math.isnan(table[column].item()) for column in ("smaller", "faster", "points"))


def test_the_front_joins_the_files_that_no_other_beats_at_both_size_and_accuracy() -> None:
    points = pd.DataFrame({"bytes": [10, 20, 20, 30, 40], "accuracy": [0.5, 0.8, 0.7, 0.8, 0.9]})
    assert plot.front(points).index.tolist() == [0, 1, 4]
