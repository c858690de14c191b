"""`lth unpack`: adds the trainings of a file of `lth pack` to a store."""

import argparse

from lth.cli.console import log_to_console, number_of
from lth.store.pack import unpack


def main(arguments: argparse.Namespace) -> int:
    """Add them; returns the exit code."""
    log_to_console(stderr=True)
    records, added, there = unpack(arguments.file, arguments.runs)
    stay = f", {there} there already" if there else ""
    of = f"{number_of(added, 'training')} added{stay}, of {number_of(records, 'job')}"
    print(f"{arguments.runs}: {of}; the same lth run command goes on from there")
    return 0
