"""`lth table`: stored or committed results as markdown, for readers or as ShrinkBench asks, CSV or parquet."""

import argparse
import sys
from pathlib import Path

from lth import UserError
from lth.analysis import query, registry, results, shrinkbench, summary
from lth.cli.console import log_to_console
from lth.file import write_out
from lth.store import table
from lth.store.file import OTHER_OUT, make_folder
from lth.store.record import has_records, no_results


def main(arguments: argparse.Namespace) -> int:
    """Print or write the table; returns the exit code."""
    log_to_console(stderr=True)
    rows = table.tickets(arguments.runs, arguments.name)
    if rows.empty and arguments.name in registry.names():
        rows = results.trainings([arguments.name], arguments.runs)[arguments.name]
    if rows.empty:
        raise _nothing(arguments)
    chosen, form = query.where(rows, arguments.where), arguments.format or _usual(arguments.out)
    if form == "shrinkbench":  # beside dense nets, which need not be among the chosen
        data = f"{shrinkbench.markdown(rows, chosen.index)}\n".encode()
    elif form == "markdown":
        data = f"{summary.markdown(chosen)}\n".encode()
    else:
        data = chosen.to_csv(index=False).encode() if form == "csv" else chosen.to_parquet(index=False)
    if arguments.out is not None:
        make_folder(arguments.out.resolve().parent, OTHER_OUT)
        write_out(arguments.out, data)
    elif form == "parquet" and sys.stdout.isatty():
        raise UserError("parquet is not for a terminal; name a file with --out")
    else:
        sys.stdout.buffer.write(data)
    return 0


def _usual(out: Path | None) -> str:
    """The format that the ending of a file stands for."""
    ending = "" if out is None else out.suffix.lower().removeprefix(".")
    return ending if ending in ("csv", "parquet") else "markdown"


def _nothing(arguments: argparse.Namespace) -> UserError:
    """An error that names the experiments that are stored."""
    stored = registry.stored(arguments.runs)
    if arguments.name is not None and has_records(arguments.runs, arguments.name):
        return UserError(no_results(arguments.runs, arguments.name), code=1)
    if arguments.name is not None and stored:
        what = f"nothing of '{arguments.name}' is stored under {arguments.runs}; stored: {', '.join(stored)}"
        return UserError(what, code=1)
    return UserError(no_results(arguments.runs), code=1)
