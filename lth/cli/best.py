"""`lth best`: configurations and levels of an experiment, ranked by validation data."""

import argparse

from lth import UserError
from lth.analysis import query, ranking, results
from lth.cli.console import log_to_console


def main(arguments: argparse.Namespace) -> int:
    """Print the best first; returns the exit code."""
    log_to_console(stderr=True)
    rows = query.where(results.tables(arguments.name, arguments.runs)[0], arguments.where)
    if (most := arguments.at_most) is not None:
        rows = rows[rows["density"] <= most * (1 + 1e-9)]
        if rows.empty:
            raise UserError(f"--at-most {most:g}: nothing of {arguments.name} has so few weights", code=1)
    rule = ranking.rule(rows, arguments.by)
    ranks = ranking.ranked(rows, rule)
    if arguments.format == "csv":
        print(ranks.head(arguments.top).to_csv(index=False).rstrip("\n"))
    else:
        print(ranking.markdown(rows, ranks, rule, arguments.top))
    return 0
