"""`lth scorecard`: the papers' claims beside our results."""

import argparse

from lth.analysis import committed, scorecard
from lth.cli.console import log_to_console


def main(arguments: argparse.Namespace) -> int:
    """Print the scorecard and, given a folder, write scorecard.md and scorecard.csv there; returns the exit code 0."""
    log_to_console(stderr=True)
    table = scorecard.scorecard(arguments.runs)
    text = scorecard.markdown(table)
    print(text)
    if arguments.out is not None:
        committed.write(arguments.out, {"scorecard.md": f"{text}\n", "scorecard.csv": table.to_csv(index=False)})
    return 0
