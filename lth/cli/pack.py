"""`lth pack`: an experiment as one small file, without weights."""

import argparse
from pathlib import Path

from lth.cli.console import log_to_console, number_of
from lth.store.file import OTHER_OUT, make_folder
from lth.store.names import folder_of
from lth.store.pack import pack


def main(arguments: argparse.Namespace) -> int:
    """Write the file; returns the exit code."""
    log_to_console(stderr=True)
    file = arguments.out or Path(f"{folder_of(arguments.name)}.pack")
    make_folder(file.resolve().parent, OTHER_OUT)
    count, size = pack(arguments.runs, arguments.name, file)
    packed = f"{number_of(count, 'training')} without weights, {size / 1e6:,.2f} MB"
    print(f"{file}: {packed}; lth unpack adds the file to another store")
    return 0
