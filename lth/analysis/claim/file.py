"""Measures of a table of files, one row per net and format, as `lth.compress.scored` has them."""

import pandas as pd

from lth.analysis.claim.claim import NEAR, Measured


def of_file(rows: pd.DataFrame, *, column: str, name: str, percent: float = 100) -> Measured | None:
    """A column of the files of one format, of the nets with about this percentage of the weights."""
    part = rows[rows["format"] == name]
    ratio = (100 * part["density"] / percent).map(lambda r: max(r, 1 / r))
    close = part[ratio <= NEAR]
    close = close[close["level"] == part["level"].get(ratio.idxmin())] if not close.empty else close
    return None if close.empty else _measured(close, column)


def smallest(rows: pd.DataFrame) -> Measured | None:
    """How many times smaller than the dense net's float32 file the smallest is that loses nothing on average."""
    known = rows.dropna(subset=["points", "smaller"])
    means = known.groupby(["level", "format"])[["points", "smaller"]].mean()
    good = means[means["points"].round(9) >= 0]
    if good.empty:
        return None
    level, name = good["smaller"].idxmax()
    return _measured(known[(known["level"] == level) & (known["format"] == name)], "smaller")


def _measured(rows: pd.DataFrame, column: str) -> Measured | None:
    values = rows.groupby("replicate")[column].mean().dropna()
    if values.empty:
        return None
    spread = float(values.std()) if len(values) > 1 else None
    return Measured(float(values.mean()), spread, len(values), float(100 * rows["density"].mean()))
