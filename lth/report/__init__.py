"""`lth report`: an experiment as one page of HTML that needs no network: the question, the figures, the scorecard, the
tables, the cost, the commands and the versions.
"""

import logging
import sys
from pathlib import Path

from lth import figure
from lth.report.lab import Record, parse

__all__ = ["Record", "main", "parse"]
log = logging.getLogger("lth")


def main(name: str | None, runs: Path, figures: Path, out: Path) -> int:
    """Write the page of the experiment `name` ("all": of every one) to `out`, from the results under `runs` or those
    that come with lth, and the tables of `lth compress` and `lth layout` in `figures`; returns the exit code.
    """
    if name not in (*figure.names(), "all"):
        wrong = f"there is no experiment '{name}'; " if name else ""
        print(f"lth report: {wrong}choose one of {', '.join(figure.names())}, or all", file=sys.stderr)
        return 2 if name else 0
    from lth import command

    command.log_to_console(stderr=True)
    return max(_one(each, runs, figures, out) for each in (figure.names() if name == "all" else [name]))


def _one(name: str, runs: Path, figures: Path, out: Path) -> int:
    from lth.report.content import gather
    from lth.report.page import page
    from lth.store.file import write_whole

    try:
        text = page(gather(name, runs, figures))
    except FileNotFoundError as error:
        print(f"lth report: {error}", file=sys.stderr)
        return 1
    out.mkdir(parents=True, exist_ok=True)
    write_whole(out / f"{name}.html", text.encode())
    print(out / f"{name}.html")
    return 0
