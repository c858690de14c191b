"""`lth report`: an experiment as one page of HTML."""

import argparse
from functools import partial

from lth.analysis import registry
from lth.analysis.report import gather, page
from lth.cli.console import for_each, log_to_console
from lth.store.file import write_whole


def main(chosen: argparse.Namespace) -> int:
    """Write the page of one experiment, or of all; returns the exit code."""
    log_to_console(stderr=True)
    return for_each("report", registry.chosen(chosen.name, "experiment"), partial(_one, chosen))


def _one(chosen: argparse.Namespace, name: str) -> int:
    text = page(gather(name, chosen.runs, chosen.figures))
    chosen.out.mkdir(parents=True, exist_ok=True)
    file = chosen.out / f"{name}.html"
    write_whole(file, text.encode())
    print(file)
    return 0
