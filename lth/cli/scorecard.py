"""`lth scorecard`: the papers' claims beside our results."""

import argparse

from lth.analysis import committed, scorecard
from lth.cli.console import log_to_console


def main(arguments: argparse.Namespace) -> int:
    """Print the scorecard; given a folder, write scorecard.md and scorecard.csv there. Returns the exit code 0."""
    log_to_console(stderr=True)
    table = scorecard.scorecard(arguments.runs)
    text = scorecard.markdown(table)
    if arguments.out is not None:  # first, since what reads the text may end, as head does
        committed.write(arguments.out, {"scorecard.md": f"{text}\n", "scorecard.csv": table.to_csv(index=False)})
    print(text)
    return 0
