"""Winning tickets: where a ticket is no worse than the dense net, and better by more than replicates differ."""

import pandas as pd

from lth.analysis.claim.measures import faster, gain

TRAINED = {"learning_rate", "fine_tune"}  # rewinds after which no weight is that of W_0 or W_k


def winning(rows: pd.DataFrame, column: str) -> float | None:
    """The lowest percentage of weights at which the ticket wins. It does if its mean accuracy is at least the dense
    net's, its early stop on average no later (Frankle & Carbin 2019, Section 1), and the 95% interval over replicates
    shows that it is more accurate or stops earlier. None if it wins nowhere, so also for n = 1, for a metric that is
    no accuracy, and for nets that go on from trained weights. rows: of one configuration; column: the accuracy.
    """
    if not column.endswith("accuracy") or ("rewind" in rows and rows["rewind"].isin(TRAINED).any()):
        return None
    tickets = rows[(rows["branch"] == "ticket") & (rows["level"] > 0)]
    levels = {level: float(100 * part["density"].mean()) for level, part in tickets.groupby("level")}
    return min((percent for level, percent in levels.items() if _wins(rows, level, percent, column)), default=None)


def _wins(rows: pd.DataFrame, level: object, percent: float, column: str) -> bool:
    better, sooner = gain(rows, percent=percent, column=column), faster(rows, percent=percent)
    if better is None or sooner is None or better.mean < 0 or _later(rows, level):
        return False
    return any(each.interval is not None and each.interval[0] > each.neutral for each in (better, sooner))


def _later(rows: pd.DataFrame, level: object) -> bool:
    """True if the tickets of a level stop later than the dense nets of their replicates, on average."""
    steps = rows[rows["branch"] == "ticket"].groupby(["level", "replicate"])["early_stop_step"].mean()
    both = pd.concat([steps[0], steps[level]], axis=1, keys=["dense", "ticket"], join="inner")
    return bool(both["ticket"].mean() > both["dense"].mean())
