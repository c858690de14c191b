"""`lth table`: what is stored, as markdown, CSV or parquet."""

import argparse
import sys

from lth import UserError
from lth.analysis import summary
from lth.store import table


def main(chosen: argparse.Namespace) -> int:
    """Print or write the table; returns the exit code."""
    rows = table.tickets(chosen.runs, chosen.experiment)
    if rows.empty:
        raise UserError(f"nothing is stored under {chosen.runs}; lth run trains, --runs names another folder", code=1)
    if chosen.format == "markdown":
        data = f"{summary.markdown(rows)}\n".encode()
    else:
        data = rows.to_csv(index=False).encode() if chosen.format == "csv" else rows.to_parquet(index=False)
    if chosen.out is not None:
        chosen.out.write_bytes(data)
    elif chosen.format == "parquet" and sys.stdout.isatty():
        raise UserError("parquet is not for a terminal; name a file with --out")
    else:
        sys.stdout.buffer.write(data)
    return 0
