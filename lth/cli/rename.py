"""`lth rename`: another name for a stored experiment."""

import argparse
from shlex import quote

from lth.cli.console import log_to_console, number_of
from lth.store.renaming import rename


def main(arguments: argparse.Namespace) -> int:
    """Rename the experiment; returns the exit code."""
    log_to_console(stderr=True)
    count = rename(arguments.runs, arguments.name, arguments.new, merge=arguments.merge)
    again = quote(f"name={arguments.new}")
    print(f"{arguments.name} is {arguments.new} now: {number_of(count, 'record')}; lth run {again} goes on with it")
    return 0
