"""A table as text."""

import csv
import io
from collections.abc import Sequence

FORMATS = ("markdown", "csv")


def text(
    header: Sequence[str], cells: Sequence[Sequence[str]], notes: Sequence[str] = (), form: str = FORMATS[0]
) -> str:
    """markdown: readable as it is too, numbers to the right, the notes below; csv: without notes."""
    if form == "csv":
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerows([header, *cells])
        return out.getvalue().rstrip("\n")
    widths = [max(len(line[i]) for line in [header, *cells]) for i in range(len(header))]
    lines = [" | ".join(cell.rjust(w) for cell, w in zip(line, widths, strict=True)) for line in [header, *cells]]
    rule = " | ".join("-" * (width - 1) + ":" for width in widths)
    return "\n".join([*(f"| {line} |" for line in (lines[0], rule, *lines[1:])), "", *(f"- {note}" for note in notes)])
