"""`lth plot`: any column of an experiment's results over any other, as a table and a figure."""

import argparse
import sys
from collections.abc import Sequence

import pandas as pd

from lth import UserError
from lth.analysis import plot, query, results, series
from lth.analysis.markdown import aligned
from lth.analysis.metric import metric
from lth.analysis.plot import labels
from lth.analysis.summary import with_spread
from lth.analysis.variants import MISSING
from lth.cli.console import log_to_console
from lth.store.names import file_of

Panels = list[tuple[str, pd.DataFrame, pd.DataFrame]]  # name, points, the rows that they are of


def main(arguments: argparse.Namespace) -> int:
    """Print mean, spread and n at each point and write <out>/<name>_<y>_over_<x>[-by=...][-rows=...][-where].*; returns
    the exit code.
    """
    log_to_console(stderr=True)
    rows, evaluations = results.tables(arguments.name, arguments.runs)
    rows = query.where(rows, arguments.where)
    for column in [*arguments.by, *filter(None, [arguments.rows])]:
        query.check_column(rows, column)
    by = [column for column in arguments.by if column != "branch"]  # each is a line in any case
    over_steps = arguments.x == "step"
    word = arguments.y or metric(rows).name
    y = query.curve(evaluations, word) if over_steps else query.number(rows, word)
    x = arguments.x if over_steps else query.number(rows, arguments.x)
    rows = _with_points(rows, evaluations, x, y)  # what else is said of the rows is said of those that are drawn
    if over_steps and not any(condition.startswith("level=") for condition in arguments.where):
        rows = series.few_levels(rows)
    panels: Panels = [
        (
            name,
            series.curves(part, evaluations, y, by) if over_steps else series.points(part, x, y, by),
            part,
        )
        for name, part in _parts(rows, arguments.rows)
    ]
    figure = plot.lines(panels, x, y, arguments.name, arguments.where)
    files = plot.save(figure, arguments.out, _file(arguments, word, by))
    print(*files, sep="\n", file=sys.stderr)  # files first, since what reads the text may end, as head does
    print(_csv(panels) if arguments.format == "csv" else _markdown(panels, x, y))
    return 0


def _file(arguments: argparse.Namespace, y: str, by: Sequence[str]) -> str:
    """The name of the figure's files, by which figures of other choices have other names."""
    named = {"by": ",".join(by), "rows": arguments.rows}
    told = [f"{key}={value}" for key, value in named.items() if value]
    return file_of([f"{arguments.name}_{y}_over_{arguments.x}", *told, *sorted(arguments.where)])


def _with_points(rows: pd.DataFrame, evaluations: pd.DataFrame, x: str, y: str) -> pd.DataFrame:
    """The rows that have x and y; raises UserError if none has."""
    measured = evaluations.loc[evaluations[y].notna(), "digest"] if x == "step" else ()
    found = rows[rows["digest"].isin(measured)] if x == "step" else rows.dropna(subset=[x, y])
    if found.empty:
        raise UserError(f"--x {x}, --y {y}: no row has both; choose other columns, or other rows with --where")
    return found


def _parts(rows: pd.DataFrame, column: str | None) -> list[tuple[str, pd.DataFrame]]:
    if column is None:
        return [("", rows)]
    groups = rows.groupby(rows[column].astype(object).where(rows[column].notna(), MISSING), sort=True)
    return [
        (f"{column}={value:g}" if isinstance(value, float) else f"{column}={value}", part) for value, part in groups
    ]


def _csv(panels: Panels) -> str:
    tables = [points.assign(row=name) if name else points for name, points, _ in panels]
    return str(pd.concat(tables, ignore_index=True).to_csv(index=False)).rstrip("\n")


def _markdown(panels: Panels, x: str, y: str) -> str:
    parts = [f"### {name}\n\n{_table(points, x, y)}" if name else _table(points, x, y) for name, points, _ in panels]
    return "\n\n".join(parts)


def _table(points: pd.DataFrame, x: str, y: str) -> str:
    digits = query.digits(y, points["mean"])
    head = ["configuration", "level", query.title(x), query.title(y), "n"]
    body = [[labels.label(p.line, p.branch), str(p.level), _number(p.x),
             with_spread(p.mean, None if pd.isna(p.spread) else p.spread, digits), str(p.n)]
            for p in points.itertuples()]  # fmt: skip
    return aligned([head, *body], left=[0])


def _number(value: float) -> str:
    if abs(value) < 1:
        return f"{value:g}"
    return f"{value:,.2f}" if abs(value) < 1000 and value % 1 else f"{value:,.0f}"
