"""`lth cost`: cost of experiments, or a published table recomputed."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lth import UserError
from lth.analysis.cost import statement, strubell2019
from lth.cli.console import csv_text

if TYPE_CHECKING:
    import pandas as pd


def main(arguments: argparse.Namespace) -> int:
    """Print the sums of the named experiments, or of all; with --figure draw each. Returns the exit code."""
    if arguments.table:
        return _published(arguments)
    from lth.analysis import registry, results  # a published table needs no pandas

    names = {kind: getattr(arguments, kind) for kind in ("region", "pue", "price", "watts")}
    rates = statement.rates_of(**names, own=arguments.tables)
    if not arguments.name and not registry.stored(arguments.runs):
        print(f"nothing under {arguments.runs}, using the committed results", file=sys.stderr)
    parts = results.trainings(arguments.name, arguments.runs)
    result = statement.statement(parts, rates)
    if arguments.figure:  # files first, since what reads the text may end, as head does
        _draw(parts, arguments.out)
    print(result.csv() if arguments.format == "csv" else result.markdown())
    return 0


def _published(arguments: argparse.Namespace) -> int:
    if arguments.name:
        raise UserError(f"--table {arguments.table} takes no experiment, leave out {arguments.name[0]}")
    header, cells = strubell2019.HEADER, strubell2019.cells()
    if arguments.format == "csv":
        print(csv_text([header, *cells]))
    else:
        print(statement.markdown(header, cells, strubell2019.notes()))
    return 0


def _draw(parts: "dict[str, pd.DataFrame]", out: Path) -> None:
    from lth.analysis import plot

    for name, rows in parts.items():
        figure = plot.cost(rows, f"Accuracy against the cost of training: {name}", by=["schedule"])
        print(*plot.save(figure, out, f"cost_{name}"), sep="\n", file=sys.stderr)
