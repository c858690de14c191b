"""Defaults in tables: a row whose record leaves a value out has the value that its function would take."""

import io
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import shell
import torch

from lth import cli
from lth.analysis.claim.rows import select
from lth.store import table
from lth.store.defaults import completed, filled
from lth.store.digest import described_defaults
from lth.store.source import source_now

MINE = """import torch

def smallest(net, trained, batch, *, power=1.0, floor=0):
    return {name: (w.abs() ** power).clamp(min=floor) for name, w in trained.at(trained.steps).items()}
"""


@pytest.mark.long
def test_a_sweep_over_a_default_has_no_hole_and_every_point_is_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    rates = "optimizer.lr=0.001,0.002"  # torch.optim.Adam takes 0.001 if it is given none
    assert shell.run("-m", "root=here", "levels=0", rates, "hydra/launcher=basic") == 0
    recorded = [record["columns"].get("optimizer.lr") for record in shell.records(Path("here"))]
    assert sorted(recorded, key=str) == [0.002, None]  # as ever, so that what is stored is found
    assert sorted(table.tickets(Path("here"))["optimizer.lr"]) == [0.001, 0.002]
    capsys.readouterr()
    assert cli.main(["table", "--runs", "here"]) == 0
    heads = [line for line in capsys.readouterr().out.splitlines() if line.startswith("#")]
    assert heads == ["### first_ticket: optimizer.lr=0.001", "### first_ticket: optimizer.lr=0.002"]
    assert cli.main(["plot", "first_ticket", "--x", "optimizer.lr", "--runs", "here", "--format", "csv"]) == 0
    points = pd.read_csv(io.StringIO(capsys.readouterr().out))
    assert list(points["x"]) == [0.001, 0.002]


def test_the_default_of_a_function_of_the_users_own_is_read_from_its_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path.cwd()))
    Path("mine_of_defaults.py").write_text(MINE, encoding="utf-8")
    ours, theirs = {"criterion": "smallest"}, {"criterion": "magnitude"}
    wanted = ["criterion.power", "criterion.floor", "criterion.nosuch"]

    def code(name: str) -> dict[str, object]:
        return {"sources": {name: source_now(name)}}

    own = code("mine_of_defaults.smallest")
    assert completed(ours, wanted, own) == {**ours, "criterion.power": 1, "criterion.floor": 0}
    assert completed(theirs, wanted, own) == theirs
    assert completed(ours, wanted, {"sources": {"gone.smallest": {"gone.py": "1"}}}) == ours
    assert completed(ours, wanted, {"sources": {"mine_of_defaults.smallest": {"mine_of_defaults.py": "1"}}}) == ours
    mine = MINE.replace("torch\n", "torch\n\ndoubled = lambda f: f\n")
    for number, (decorator, known) in enumerate([("torch.no_grad()", True), ("doubled", False)]):
        Path(f"mine_{number}.py").write_text(mine.replace("def", f"@{decorator}\ndef"), encoding="utf-8")
        assert ("criterion.floor" in completed(ours, wanted, code(f"mine_{number}.smallest"))) == known


def test_a_function_of_ones_own_has_no_default_of_one_of_the_same_name() -> None:
    ours, wanted = {"optimizer": "SGD"}, ["optimizer.momentum", "optimizer.lr"]
    changed = {"sources": {"mine.SGD": {"mine.py": "1"}}}
    assert completed(ours, wanted) == {**ours, "optimizer.momentum": 0, "optimizer.lr": 0.001}
    assert completed(ours, wanted, changed) == ours
    assert completed(ours, wanted, changed | {"defaults": {"optimizer.lr": 0.5}}) == {**ours, "optimizer.lr": 0.5}


def test_defaults_that_can_not_be_described_are_left_out() -> None:
    def mine(
        net: object, *, act: object = torch.relu, table: object = np.ones(3), width: int = 8, rate: float = 1.0
    ) -> None:
        pass

    assert described_defaults(partial(mine, width=9)) == {"width": 8, "rate": 1}


@pytest.mark.long
def test_a_default_is_that_of_the_training_whatever_the_function_has_now(capsys: pytest.CaptureFixture[str]) -> None:
    mine = Path("mine_that_changes.py")
    mine.write_text(MINE, encoding="utf-8")
    criterion = "criterion._target_=mine_that_changes.smallest"
    assert shell.run("-m", "root=here", "levels=1", criterion, "+criterion.power=1,2", "hydra/launcher=basic") == 0
    mine.write_text(MINE.replace("power=1.0", "power=3.0"), encoding="utf-8")
    assert sorted(table.tickets(Path("here"))["criterion.power"]) == [1, 1, 2, 2]
    mine.unlink()
    assert sorted(table.tickets(Path("here"))["criterion.power"]) == [1, 1, 2, 2]


@pytest.mark.parametrize(
    ("group", "function", "column", "given", "default"),
    [
        ("optimizer", "SGD", "optimizer.weight_decay", 1e-4, 0.0),
        ("optimizer", "Adam", "optimizer.betas", "[0.5, 0.9]", "[0.9, 0.999]"),
        ("lr", "drop", "lr.warmup", 500, 0),
        ("schedule", "iterative", "schedule.linear", 0.4, 0.2),
        ("augment", "flip_crop", "augment.pad", 2, 4),
        ("model", "conv_2", "model.dropout", 0.5, 0.0),
    ],
)
def test_a_hole_of_an_older_table_means_the_default(
    group: str, function: str, column: str, given: object, default: object
) -> None:
    old = pd.DataFrame({group: [function, function, "nosuch"], column: [given, None, None]})
    new = filled(old)[column]
    assert list(new[:2]) == [given, default]
    assert pd.isna(new[2])
    assert list(old[column].isna()) == [False, True, True]


def test_numbers_stay_whole_and_what_has_no_default_stays_missing() -> None:
    old = pd.DataFrame(
        {"lr": ["drop", "drop"], "lr.warmup": [500, np.nan], "lr.at": ["[3]", None], "levels": ["a", None]}
    )
    new = filled(old)
    assert new["lr.warmup"].tolist() == [500, 0]
    assert new["lr.warmup"].dtype == int
    assert new["lr.at"].isna().tolist() == new["levels"].isna().tolist() == [False, True]


def test_the_usual_augmentation_and_penalty_have_their_names() -> None:
    old = pd.DataFrame({"augment": ["flip_crop", None], "regularization": [None, "l2"], "updater": [None, "gradual"]})
    assert filled(old).to_dict("list") == {
        "augment": ["flip_crop", "none"], "regularization": ["none", "l2"], "updater": ["none", "gradual"],
    }  # fmt: skip


def test_an_option_is_on_where_it_is_neither_missing_nor_zero_nor_none() -> None:
    rows = pd.DataFrame({"lr.warmup": [500, 0, None], "regularization": ["l2", "none", None]})
    assert list(select(rows, {"lr.warmup": True}).index) == list(select(rows, {"regularization": True}).index) == [0]
