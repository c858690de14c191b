"""`lth compare`: paired differences between configurations, branches or experiments."""

import argparse
import logging

import pandas as pd

from lth import UserError
from lth.analysis import comparison, query, results
from lth.analysis.metric import metric
from lth.cli.console import log_to_console

log = logging.getLogger("lth")


def main(arguments: argparse.Namespace) -> int:
    """Print the differences to the first side, or to that of --against; returns the exit code."""
    log_to_console(stderr=True)
    names = list(dict.fromkeys(arguments.name))
    table = pd.concat([results.tables(name, arguments.runs)[0] for name in names], ignore_index=True)
    table = query.where(table, arguments.where)
    y = query.number(table, arguments.y or metric(table).name)
    sides = comparison.sides(table, [name for name in names if name in set(table["experiment"])])
    base = comparison.baseline(sides, arguments.against, arguments.at)
    if len(sides) == 1:
        raise UserError(f"{', '.join(names)} has one configuration and no branch: name another experiment beside it")
    if arguments.at is not None:
        comparison.check_near(base, arguments.at)
    found = comparison.compare(sides, base, y, arguments.at)
    near = "" if arguments.at is None else f" near {arguments.at:g}"
    if found.empty:
        what = f"no replicate has {base.name} and another at densities{near} within 5% of each other"
        raise UserError(f"{what}; lth table lists replicates and densities", code=1)
    for each in comparison.setups(table, base):
        log.warning("%s: differences may come from this", each)
    if left := comparison.left_out(sides, base, found, arguments.at):
        log.warning(
            "not compared, since no replicate of %s has a density%s within 5%% of theirs: %s",
            base.name,
            near,
            "; ".join(left),
        )
    print(found.to_csv(index=False).rstrip("\n") if arguments.format == "csv" else comparison.markdown(found, y))
    return 0
