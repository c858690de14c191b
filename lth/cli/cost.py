"""`lth cost`: what experiments cost, or a published table recomputed."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lth import UserError
from lth.analysis.cost import statement, strubell2019, text

if TYPE_CHECKING:
    import pandas as pd


def main(chosen: argparse.Namespace) -> int:
    """Print the sums, of all experiments if none is named; with --figure draw one of each. Returns the exit code."""
    if chosen.table and chosen.name:
        raise UserError(f"--table {chosen.table} is not of an experiment, leave out {chosen.name[0]}")
    if chosen.table:
        print(text(strubell2019.HEADER, strubell2019.cells(), strubell2019.notes(), chosen.format))
        return 0
    names = statement.Names(chosen.region, chosen.pue, chosen.price, chosen.watts, chosen.tables)
    rates, parts = statement.rates_of(names), statement.parts(chosen.name, chosen.runs)
    print(statement.statement(parts, rates, chosen.format))
    if chosen.figure:
        _draw(parts, chosen.out)
    return 0


def _draw(parts: "dict[str, pd.DataFrame]", out: Path) -> None:
    from lth.analysis import plot

    for name, rows in parts.items():
        drawn = plot.cost(rows, name, by=["schedule"])
        print(*plot.save(drawn, out, f"cost_{name}"), sep="\n", file=sys.stderr)
