"""`lth compress` and `lth export`: files of stored nets, measured and written."""

import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import torch

from lth import UserError, cli
from lth.analysis import plot
from lth.cli import config
from lth.compress import file_table, package
from lth.compress.nets import first_and_last, select

OVERRIDES = ["model=mlp", "model.hidden=[30]", "levels=[14]", "steps=60", "tracking=none"]
DENSE = ["float32", "float16", "int8", "int4", "lth", "lth-5", "lth-3"]
FORMATS = {0: DENSE, 14: [*DENSE[:4], "compact", "compact-int8", *DENSE[4:]]}


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    """Shorten latency measurements, which need not be exact here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lth.compress.latency.BUDGET", 0.01)
        yield


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small net on the embedded digits, dense and with 5% of its weights."""
    root = tmp_path_factory.mktemp("runs")
    assert config.main([*OVERRIDES, f"root={root}"]) == 0
    return root


@pytest.fixture(scope="module")
def table(store: Path, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    out, overrides = tmp_path_factory.mktemp("figures"), [*OVERRIDES, f"root={store}", "replicate=1,7"]
    assert cli.main(["compress", *overrides, "--bits", "5,3", "--out", str(out)]) == 0
    assert {each.name for each in out.iterdir()} == {
        f"first_ticket_files.{kind}" for kind in ("csv", "md", "png", "pdf")
    }
    return pd.read_csv(out / "first_ticket_files.csv")


def of(table: pd.DataFrame, **where: object) -> pd.DataFrame:
    for column, value in where.items():
        table = table[table[column] == value]
    return table


@pytest.mark.long
def test_every_net_is_measured_in_every_format(table: pd.DataFrame) -> None:
    assert table.groupby("level")["format"].apply(list).to_dict() == FORMATS


@pytest.mark.long
def test_sizes_and_gains_are_relative_to_the_dense_float32_file(table: pd.DataFrame) -> None:
    dense = of(table, level=0, format="float32").iloc[0]
    assert (dense["smaller"], dense["faster"], dense["points"]) == (1, 1, 0)
    assert (table["smaller"] * table["bytes"]).tolist() == pytest.approx([dense["bytes"]] * len(table))
    assert (table["faster"] * table["ms_128"]).tolist() == pytest.approx([dense["ms_128"]] * len(table))
    assert (table["accuracy"] - table["points"] / 100).tolist() == pytest.approx([dense["accuracy"]] * len(table))


@pytest.mark.long
def test_a_float32_file_holds_four_bytes_a_parameter_and_a_lossless_one_less_for_a_ticket(table: pd.DataFrame) -> None:
    parameters = 784 * 30 + 30 + 30 * 10 + 10
    assert of(table, level=0, format="float32")["bytes"].between(4 * parameters, 4 * parameters + 2500).all()
    assert (of(table, level=14, format="lth")["bytes"] < 0.1 * 4 * parameters).all()
    assert (of(table, format="compact-int8")["bytes"].values < of(table, level=14, format="int8")["bytes"].values).all()
    for level in (0, 14):
        sizes = [of(table, level=level, format=name)["bytes"].mean() for name in ("lth", "lth-5", "lth-3")]
        assert sizes == sorted(sizes, reverse=True)


@pytest.mark.long
def test_the_accuracy_of_a_lossless_file_is_the_stored_one(table: pd.DataFrame, store: Path) -> None:
    from lth.store.table import tickets

    stored = tickets(store).set_index("level")["final_test_accuracy"]
    for name in ("float32", "compact", "lth"):
        ours = of(table, format=name).set_index("level")["accuracy"]
        theirs = stored[ours.index]
        assert ours.to_dict() == pytest.approx(theirs.to_dict(), abs=0.0021)  # two of 1,000 images may be a tie


@pytest.mark.long
def test_an_exported_file_is_the_measured_one(table: pd.DataFrame, store: Path, tmp_path: Path) -> None:
    file = tmp_path / "net.lth"
    arguments = [*OVERRIDES, f"root={store}", "--level", "14", "--format", "lth-5", "--out", str(file)]
    assert cli.main(["export", *arguments]) == 0
    data = file.read_bytes()
    assert len(data) == of(table, level=14, format="lth-5")["bytes"].item()
    net, mask = package.unpack(data)
    kept = sum(int(m.sum()) for m in mask.values())
    assert kept / (784 * 30 + 300) == pytest.approx(of(table, level=14)["density"].iloc[0])
    assert net(torch.zeros(3, 1, 28, 28)).shape == (3, 10)


@pytest.mark.long
def test_an_exported_file_is_named_after_its_net_and_format(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["export", *OVERRIDES, f"root={store}", "--format", "int8", "--level", "0"]) == 0
    assert Path("first_ticket-1-level-0-int8.onnx").is_file()
    assert "100.00% of the weights" in capsys.readouterr().out


@pytest.mark.long
@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--format", "int3"], "there is no format 'int3': choose float32, float16, int8, int4, compact, compact-int8"),
        (["--format", "lth-9"], "there is no format 'lth-9'"),
        (["--format", "int3", "--out", "a.pt"], "there is no format 'int3'"),
        (
            ["--format", "ticket", "--out", "a.pt"],
            "--out a.pt: format ticket is a .safetensors file; name it a.safetensors",
        ),
        (["--format", "lth-5", "--out", "a.b.onnx"], "format lth-5 is a .lth file; name it a.b.lth"),
        (["--level", "3"], "(stored: 0, 14); lth run with the same overrides, and levels= that far, trains it"),
        (["replicate=1,2"], "these overrides name 2 nets: give one replicate"),
        (["replicate=7"], "nothing of first_ticket, MLP, replicate 7, is stored under"),
        (["batch_size=7"], "(first_ticket has batch_size="),
        (["steps=abc"], "steps"),
    ],
)
def test_an_impossible_export_is_an_error(
    extra: list[str], message: str, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["export", *OVERRIDES, f"root={store}", *extra]) == 2
    assert message in capsys.readouterr().err
    assert list(Path().iterdir()) == []


@pytest.mark.long
def test_a_net_that_is_not_stored_is_named_and_left_out(
    table: pd.DataFrame, store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert set(table["replicate"]) == {1}  # of 1 and 7
    jobs = config.jobs([*OVERRIDES, f"root={store}", "replicate=1,7"])
    assert [trained.ticket.level for _, trained in select(jobs, [14, 3])] == [14]
    assert caplog.record_tuples == [
        (
            "lth",
            logging.WARNING,
            f"level 3 of first_ticket, MLP, replicate 1, is not stored under {store} (stored: 0, 14)",
        ),
        (
            "lth",
            logging.WARNING,
            f"nothing of first_ticket, MLP, replicate 7, is stored under {store}, or it can't be read",
        ),
    ]
    with pytest.raises(UserError, match=r"replicate 7, is stored under .*; lth run with the same overrides trains it"):
        select(jobs[1:])


def test_nets_are_selected_in_the_order_asked_for_with_the_dense_one_first_where_it_is_compared_with(
    store: Path,
) -> None:
    jobs = config.jobs([*OVERRIDES, f"root={store}"])

    def levels(*arguments: list[int], with_dense: bool = False) -> list[int]:
        return [trained.ticket.level for _, trained in select(jobs, *arguments, with_dense=with_dense)]

    assert levels() == [0, 14]
    assert levels([14, 0]) == [14, 0]
    assert levels([14], with_dense=True) == levels([14, 0], with_dense=True) == [0, 14]
    assert levels([14, 0, 14]) == [14, 0]
    assert len(select([*jobs, *jobs])) == 2  # as of replicate=1,1: each net once
    with pytest.raises(UserError, match="level 3 of"):
        levels([3], with_dense=True)


@pytest.mark.long
def test_of_a_run_that_is_named_with_fewer_levels_too_each_level_is_selected_once(tmp_path: Path) -> None:
    given = ["model=mlp", "model.hidden=[8]", "steps=4", "data.limit=60", "tracking=none", f"root={tmp_path}"]
    assert config.main([*given, "levels=2"]) == 0
    jobs = [job for levels in (1, 2, 0) for job in config.jobs([*given, f"levels={levels}"])]
    assert [trained.ticket.level for _, trained in select(jobs)] == [0, 1, 2]


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        ([14, 14, 0], [0, 14]),
        pytest.param([0, 14], [0, 14], marks=pytest.mark.long),
        pytest.param([14], [14], marks=pytest.mark.long),
    ],
)
def test_of_each_run_the_first_and_the_last_level_can_be_taken(
    store: Path, levels: list[int], expected: list[int]
) -> None:
    jobs = config.jobs([*OVERRIDES, f"root={store}"])
    assert [trained.ticket.level for _, trained in first_and_last(select(jobs, levels))] == expected


def test_replicates_are_averaged_in_the_table_that_is_printed() -> None:
    row = {"experiment": "e", "model": "lenet_300_100", "level": 15, "density": 0.0358, "format": "lth-5"}
    row |= {"ms_1": 0.1, "ms_128": 1.0, "memory_mb": 12.0, "faster": 2.0, "points": 0.5}
    both = [{**row, "bytes": b, "smaller": s, "accuracy": a} for b, s, a in [(10_000, 100, 0.98), (12_000, 90, 0.99)]]
    line = file_table.markdown(pd.DataFrame(both)).splitlines()[-1]
    assert [cell.strip() for cell in line.strip("|").split("|")] == [
        "LeNet-300-100", "3.58", "lth-5", "11000 ± 1414", "95.0 ± 7.1", "98.50 ± 0.71", "0.50 ± 0.00", "0.100 ± 0.000",
        "1.00 ± 0.00", "2.0 ± 0.0", "12.0 ± 0.0", "2",
    ]  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("bits", ["9", "0", "5,-1"])
def test_an_invalid_number_of_bits_is_an_error(bits: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(["compress", *OVERRIDES, "--bits", bits])
    assert f"--bits: {bits}: weights of lth files have 1 to 8 bits" in capsys.readouterr().err


@pytest.mark.long
def test_without_the_dense_net_relative_columns_are_nan(store: Path, tmp_path: Path) -> None:
    arguments = [*OVERRIDES, f"root={store}", "--levels", "14", "--bits", "8", "--out", str(tmp_path)]
    assert cli.main(["compress", *arguments]) == 0
    found = pd.read_csv(tmp_path / "first_ticket_files.csv")
    assert found[["smaller", "faster", "points"]].isna().all(axis=None)
    assert found["accuracy"].notna().all()


def test_the_front_joins_the_files_that_no_other_beats_at_both_size_and_accuracy() -> None:
    points = pd.DataFrame({"bytes": [10, 20, 20, 30, 40], "accuracy": [0.5, 0.8, 0.7, 0.8, 0.9]})
    assert plot.front(points).index.tolist() == [0, 1, 4]


@pytest.mark.long
def test_only_the_commands_that_write_onnx_need_it_and_say_what_to_install() -> None:
    code = """
import sys
sys.modules["onnx"] = None
from lth import cli
from lth.cli import layout
from lth.compress import package
sys.exit(cli.main(["compress", "steps=5"]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "lth compress: onnx is not installed: pip install 'lth[deploy]'\n")


# ---- what fails, what differs

MINE = """
import math

from torch import nn


class Median(nn.Module):
    def __init__(self, shape, classes, hidden):
        super().__init__()
        self.head = nn.Linear(math.prod(shape), classes)

    def forward(self, x):
        return self.head(x.flatten(1)) + x.flatten(1).kthvalue(8).values[:, None]
"""


@pytest.fixture
def mine() -> list[str]:
    """Overrides of a stored net of the user's own, which ONNX has no operation for."""
    Path("mine.py").write_text(MINE, encoding="utf-8")
    overrides = ["model=mlp", "model._target_=mine.Median", "levels=0", "steps=20", "evaluate_every=20", "root=runs"]
    assert config.main([*overrides, "tracking=none"]) == 0
    return overrides


@pytest.mark.slow
def test_a_format_that_fails_costs_its_own_row_alone(mine: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["compress", *mine, "--bits", "8", "--out", "figures"]) == 1
    found = pd.read_csv("figures/first_ticket_files.csv").set_index("format")
    for name in ("float32", "float16", "int8", "int4"):
        assert "ONNX has no operation for aten.kthvalue" in found["note"][name]
    assert found["bytes"].isna().tolist() == [True] * 4 + [False] * 2
    assert found["accuracy"].notna().tolist() == [False] * 4 + [True] * 2  # through the net that the file unpacks to
    assert "ONNX has no operation for aten.kthvalue" in Path("figures/first_ticket_files.md").read_text(
        encoding="utf-8"
    )
    capsys.readouterr()
    assert cli.main(["export", *mine, "--format", "int8", "--out", "net.onnx"]) == 1
    assert "lth export: int8: ONNX has no operation for aten.kthvalue" in capsys.readouterr().err
    assert not Path("net.onnx").exists()
    assert cli.main(["export", *mine, "--format", "lth", "--out", "net.lth"]) == 0


@pytest.mark.slow
def test_configurations_are_not_averaged(store: Path, tmp_path: Path) -> None:
    overrides = [each for each in OVERRIDES if not each.startswith("steps")]
    assert config.main([*overrides, "steps=40", f"root={store}"]) == 0
    given = [*overrides, "steps=40,60", f"root={store}", "--levels", "0", "--bits", "8", "--out", str(tmp_path)]
    assert cli.main(["compress", *given]) == 0
    found = pd.read_csv(tmp_path / "first_ticket_files.csv")
    assert found.groupby("variant")["config"].nunique().to_dict() == {"steps=40": 1, "steps=60": 1}
    text = (tmp_path / "first_ticket_files.md").read_text()
    assert [line.split("|")[2].strip() for line in text.splitlines() if "float32 " in line] == ["steps=40", "steps=60"]


@pytest.mark.slow
def test_under_an_updater_no_accuracy_is_compared_with_a_dense_net(tmp_path: Path) -> None:
    overrides = ["model=mlp", "model.hidden=[8]", "levels=0", "steps=20", "evaluate_every=20", "tracking=none",
                 "updater=gradual", "updater.end=10", "updater.every=5", "root=runs"]  # fmt: skip
    assert config.main(overrides) == 0
    assert cli.main(["compress", *overrides, "--bits", "8"]) == 0
    found = pd.read_csv("figures/first_ticket_files.csv")
    assert found["points"].isna().all()
    assert found["smaller"].notna().all()
    assert "Level 0 is not dense" in Path("figures/first_ticket_files.md").read_text(encoding="utf-8")
    assert cli.main(["layout", *overrides]) == 0
    assert pd.read_csv("figures/first_ticket_layouts.csv")["points"].isna().all()
