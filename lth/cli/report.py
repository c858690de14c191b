"""`lth report`: an experiment as one page of HTML."""

import argparse
from functools import partial

from lth.analysis import registry
from lth.analysis.report import gather, page
from lth.cli.console import for_each, log_to_console, offer
from lth.file import write_text
from lth.store.file import OTHER_OUT, make_folder


def main(arguments: argparse.Namespace) -> int:
    """Write the page of one experiment, or of all; returns the exit code."""
    log_to_console(stderr=True)
    if arguments.name is None:
        return offer(registry.listing(arguments.runs), "report", "writes")
    return for_each("report", registry.select(arguments.name, "experiment", arguments.runs), partial(_one, arguments))


def _one(arguments: argparse.Namespace, name: str) -> int:
    text = page(gather(name, arguments.runs, arguments.figures))
    make_folder(arguments.out, OTHER_OUT)
    file = arguments.out / f"{name}.html"
    write_text(file, text)
    print(file)
    return 0
