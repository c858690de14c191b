"""Markdown tables: written aligned, so that they are readable as text too, and read back."""

import re
from collections.abc import Collection, Iterator, Sequence
from itertools import groupby

Row = Sequence[str]


def aligned(lines: Sequence[Row], left: Collection[int] = ()) -> str:
    """A table; its first line is the header. Cells are aligned right, those of the columns `left` to the left."""
    widths = [max(3 if i in left else 2, *map(len, column)) for i, column in enumerate(zip(*lines, strict=True))]

    def padded(line: Row) -> str:
        cells = zip(line, widths, strict=True)
        return " | ".join(cell.ljust(w) if i in left else cell.rjust(w) for i, (cell, w) in enumerate(cells))

    rule = ["-" * width if i in left else "-" * (width - 1) + ":" for i, width in enumerate(widths)]
    header, *body = map(padded, lines)
    return "\n".join(f"| {line} |" for line in [header, " | ".join(rule), *body])


def blocks(text: str) -> Iterator[list[list[str]] | str]:
    """The tables of a text (the header first, cells as text) and its other lines without the marks of headings and
    items.
    """
    for is_table, lines in groupby((line.strip() for line in text.splitlines()), lambda line: line.startswith("|")):
        if is_table:
            header, _, *body = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
            yield [header, *body]
        else:
            yield from (re.sub(r"^(#+|[-*]) ", "", line) for line in lines if line)
