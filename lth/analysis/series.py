"""Tables of tickets -> the lines of a figure: mean, spread and n at each point. Imports no matplotlib."""

from collections.abc import Sequence

import pandas as pd

from lth.analysis.branches import branches, full_branch
from lth.analysis.plot.labels import in_order, percent, short_names
from lth.analysis.query import evenly, scale
from lth.store.columns import configures

# Columns of a table of points; x and its bounds, and the mean with sample deviation and bounds of y.
POINTS = ("line", "branch", "level", "density", "x", "x_min", "x_max", "mean", "spread", "min", "max", "n")


def points(table: pd.DataFrame, x: str, y: str, by: Sequence[str] = ()) -> pd.DataFrame:
    """One row per line, branch and level (or value of x, if x is part of the configuration), in the order of the lines.

    Means are over replicates and draws; different configurations are never averaged. by: columns that name the lines;
    default: all that differ. Rows without x or y are left out.
    """
    rows = table.dropna(subset=[x, y])
    parts = _grouped(rows.assign(branch=full_branch(rows), line=lines(rows, x, by)), x)
    found = pd.DataFrame([_point(line, branch, part, x, y) for line, branch, part in parts], columns=list(POINTS))
    return found.sort_values(["line", "branch", "level", "x"], key=_order, ignore_index=True)


def curves(table: pd.DataFrame, evaluations: pd.DataFrame, y: str, by: Sequence[str] = ()) -> pd.DataFrame:
    """`points` over the steps of training, in order of the levels: a line for each level of each configuration and
    branch.
    """
    rows = table.assign(branch=full_branch(table), line=short_names(table, by))
    each = evaluations.drop_duplicates(["digest", "step"])[["digest", "step", y]].dropna()
    kept = rows[["digest", "line", "branch", "level", "density", "replicate", "draw"]].merge(each, on="digest")
    parts = kept.groupby(["line", "branch", "level", "step"], sort=False)
    found = [_point(line, branch, part, "step", y) for (line, branch, _, _), part in parts]
    points = pd.DataFrame(found, columns=list(POINTS)).sort_values(["line", "branch", "level", "x"], key=_order)
    return points.assign(line=_with_level(points, points["line"])).reset_index(drop=True)


def lines(table: pd.DataFrame, x: str, by: Sequence[str]) -> pd.Series:
    """The name of each row's line. Along a column of the configuration, a line joins what differs in nothing else."""
    if not configures(x):
        return short_names(table, by)
    others = table.drop(columns=[x, "config"], errors="ignore")
    line = short_names(others, [column for column in by if column != x])
    same = table.assign(line=line, branch=full_branch(table)).groupby(["line", "branch", "level", x])
    if "config" in table and (same["config"].nunique() > 1).any():
        line = short_names(table.drop(columns=x), by)
    return _with_level(table, line) if table["level"].nunique() > 1 else line


def few_levels(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of at most five levels, the first and the last among them."""
    return table[table["level"].isin(evenly(sorted(table["level"].unique())))]


def _grouped(rows: pd.DataFrame, x: str) -> "list[tuple[str, str, pd.DataFrame]]":
    keys = ["line", "branch", "level", *([x] if configures(x) else [])]
    return [(key[0], key[1], part) for key, part in rows.groupby(keys, sort=False)]


def _point(line: str, branch: str, part: pd.DataFrame, x: str, y: str) -> "list[object]":
    across, values = scale(x) * part[x].astype(float), scale(y) * part[y].astype(float)
    ends = [values.mean(), values.std(), values.min(), values.max()]
    places = [across.mean(), across.min(), across.max()]
    return [line, branch, int(part["level"].iloc[0]), part["density"].mean(), *places, *ends, len(part)]


def _with_level(table: pd.DataFrame, line: pd.Series) -> pd.Series:
    """The names of lines with the percent of weights of their level behind."""
    shares = table.groupby([line.rename("line"), "level"])["density"].transform("mean").map(percent)
    return pd.Series([", ".join(filter(None, pair)) for pair in zip(line, shares, strict=True)], table.index, dtype=str)


def _order(column: pd.Series) -> pd.Series:
    if column.name == "branch":
        return column.map({name: at for at, name in enumerate(branches(pd.DataFrame({"branch": column})))})
    if column.name == "line":
        return column.map({name: at for at, name in enumerate(in_order(column))})
    return column
