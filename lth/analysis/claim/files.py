"""Measures on a table of files, one row per net and format, as `lth.compress.file_table.measure` makes it."""

import pandas as pd

from lth.analysis.claim.rows import Measured, by_replicate, measured, nearest

RATIOS = ("smaller", "faster")  # columns that are ratios to the dense net's float32 file


def file_value(rows: pd.DataFrame, *, column: str, name: str, percent: float = 100) -> Measured | None:
    """A column of the files of one format, of the net with about this percentage of the weights."""
    part = rows[rows["format"] == name]
    close = nearest(part, percent)
    return None if close.empty else measured(by_replicate(close, column), close, ratio=column in RATIOS)


def smallest_file(rows: pd.DataFrame) -> Measured | None:
    """Bytes of the dense net's float32 file over those of the smallest file that loses no accuracy: neither on average
    nor anywhere in the 95% interval, if there is one.
    """
    known = rows.dropna(subset=["points", "smaller"])
    groups = [group for _, group in known.groupby(["level", "format"]) if _loses_nothing(group)]
    best = max(groups, key=lambda group: group["smaller"].mean(), default=None)
    return None if best is None else measured(by_replicate(best, "smaller"), best, ratio=True)


def _loses_nothing(rows: pd.DataFrame) -> bool:
    points = measured(by_replicate(rows, "points"), rows)
    return points is not None and round(points.interval[0] if points.interval else points.mean, 9) >= 0
