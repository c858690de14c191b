"""`lth scorecard`: the papers' claims beside our results."""

import argparse

from lth.analysis import scorecard
from lth.analysis.committed import note
from lth.cli.console import log_to_console
from lth.file import write_text
from lth.store.file import make_folder


def main(arguments: argparse.Namespace) -> int:
    """Print the scorecard and, given a folder, write scorecard.md and scorecard.csv there; returns the exit code 0."""
    log_to_console(stderr=True)
    table = scorecard.scorecard(arguments.runs)
    text = scorecard.markdown(table)
    print(text)
    if arguments.out is not None:
        make_folder(arguments.out, "Set --out to another folder")
        write_text(arguments.out / "scorecard.md", f"{text}\n")
        write_text(arguments.out / "scorecard.csv", table.to_csv(index=False))
        note(arguments.out / f"scorecard.{kind}" for kind in ("csv", "md"))
    return 0
