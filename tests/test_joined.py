"""Committed results and stored ones as one table."""

from pathlib import Path

import examples
import pandas as pd

from lth.analysis.joined import joined

KEYS = ["replicate", "branch", "draw", "level", "digest"]
RUNS = Path("runs")


def curves(tickets: pd.DataFrame) -> pd.DataFrame:
    return tickets[KEYS].assign(step=0)


def test_comparisons_that_were_made_since_are_not_lost() -> None:
    """The trainings are those that were committed; that two nets of replicate 1 disagree was measured later."""
    kept = examples.tickets("one", {1: (0.90, 0.92)}, config="a")
    rows = kept.assign(disagreement=[None, 0.02])
    tickets, _ = joined("one", RUNS, (rows, curves(rows)), (kept, curves(kept)), own_code=False)
    assert list(tickets["disagreement"].dropna()) == [0.02]
    same, _ = joined("one", RUNS, (kept, curves(kept)), (rows, curves(rows)), own_code=False)
    assert list(same["disagreement"].dropna()) == [0.02]


def test_with_code_of_the_users_own_equal_settings_are_not_one_configuration() -> None:
    stored = examples.tickets("one", {1: (0.90, 0.92)}, config="new")
    kept = examples.tickets("one", {2: (0.80, 0.81)}, config="old")
    kept["digest"] += "2"
    for own_code, configs in ((False, {"new"}), (True, {"old", "new"})):
        tickets, _ = joined("one", RUNS, (stored, curves(stored)), (kept, curves(kept)), own_code=own_code)
        assert ({*tickets["config"]}, {*tickets["replicate"]}) == (configs, {1, 2})
