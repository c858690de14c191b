"""Experiments for tests: claims and results written by hand, so that every expected value is known."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from lth.analysis import registry, results

# Source of an experiment; only its claims and the experiments it is drawn with differ.
FILE = '''"""An experiment for the tests."""

from functools import partial

from lth.analysis import plot
from lth.analysis.claim import Claim, faster, gain, lowest, worst

COST = "two trainings on an abacus"
WITH = {others}
ALSO = {also}
CLAIMS = [{claims}]


def draw(tickets, evaluations):
    return plot.curves(evaluations, tickets, [0], "title")
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of experiments with an empty folder of committed results, in place of the real one."""
    place = tmp_path / "elsewhere" / "experiments"
    (place / "results").mkdir(parents=True)
    monkeypatch.setattr(registry, "EXPERIMENTS", place)
    monkeypatch.setattr(results, "RESULTS", place / "results")
    return place


def experiment(
    folder: Path, name: str, claims: Sequence[str] = (), others: Sequence[str] = (), also: Sequence[str] = ()
) -> None:
    """Write an experiment; claims are the arguments of a Claim."""
    given = ", ".join(f"Claim({claim})" for claim in claims)
    (folder / f"{name}.py").write_text(FILE.format(claims=given, others=tuple(others), also=tuple(also)))


def tickets(name: str, accuracies: dict[int, tuple[float, float]], **other: Any) -> pd.DataFrame:
    """Rows for the dense net and level 4 (41% of the weights), from a pair of accuracies per replicate."""
    rows = [
        {"experiment": name, "model": "net", "data": "digits", "branch": "ticket", "draw": 0, "replicate": replicate,
         "level": level, "density": {0: 1.0, 4: 0.41}[level], "remaining": 41, "total": 100,
         "early_stop_step": 1000 - 100 * level, "early_stop_test_accuracy": accuracy, "early_stop_val_loss": 1.0,
         "early_stop_val_accuracy": accuracy, "final_test_accuracy": accuracy, "final_train_accuracy": 1.0,
         "steps": 2000, "batch_size": 60, "seconds": 1.0, "machine": "an abacus", "commit": "abc123", "date": "today",
         "digest": f"{name} {level} {replicate} {other}", **other}
        for replicate, pair in accuracies.items()
        for level, accuracy in zip((0, 4), pair, strict=True)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def commit(folder: Path, table: pd.DataFrame) -> None:
    """Write a table, and learning curves that end at its accuracies, to the committed results of the folder."""
    keys = ["experiment", "branch", "draw", "replicate", "level", "density", "digest"]
    curves = [
        table[keys].assign(step=step, test_accuracy=share * table["final_test_accuracy"])
        for step, share in ((0, 0.1), (1000, 0.9), (2000, 1.0))
    ]
    (name,) = table["experiment"].unique()
    table.to_csv(folder / "results" / f"{name}.csv", index=False)
    pd.concat(curves, ignore_index=True).to_parquet(folder / "results" / f"{name}.parquet", index=False)
