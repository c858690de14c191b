"""A table as text."""

import csv
import io
from collections.abc import Sequence

from lth.analysis.text import aligned

FORMATS = ("markdown", "csv")


def text(
    header: Sequence[str], cells: Sequence[Sequence[str]], notes: Sequence[str] = (), form: str = FORMATS[0]
) -> str:
    """markdown: readable as it is too, numbers to the right, the notes below; csv: without notes."""
    if form == "csv":
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerows([header, *cells])
        return out.getvalue().rstrip("\n")
    return "\n".join([aligned([header, *cells]), "", *(f"- {note}" for note in notes)])
