"""`lth table`: stored results as markdown, CSV or parquet."""

import argparse
import sys

from lth import UserError
from lth.analysis import summary
from lth.store import table


def main(arguments: argparse.Namespace) -> int:
    """Print or write the table; returns the exit code."""
    rows = table.tickets(arguments.runs, arguments.experiment)
    if rows.empty:
        message = f"nothing is stored under {arguments.runs}; lth run trains, --runs names another folder"
        raise UserError(message, code=1)
    if arguments.format == "markdown":
        data = f"{summary.markdown(rows)}\n".encode()
    else:
        data = rows.to_csv(index=False).encode() if arguments.format == "csv" else rows.to_parquet(index=False)
    if arguments.out is not None:
        arguments.out.write_bytes(data)
    elif arguments.format == "parquet" and sys.stdout.isatty():
        raise UserError("parquet is not for a terminal; name a file with --out")
    else:
        sys.stdout.buffer.write(data)
    return 0
