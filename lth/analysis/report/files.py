"""What `lth compress` and `lth layout` leave of an experiment: <name>_<ending>.md, .csv and .png."""

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import pandas as pd

from lth.analysis import registry
from lth.analysis.report.markup import Picture

ENDINGS = {"files": "Size and accuracy of the files", "layouts": "Size and speed of the layouts"}
# Tables and the sentences between them.
Blocks = Sequence[pd.DataFrame | str]


def tables(name: str, folder: Path) -> list[tuple[str, Blocks]]:
    """Title and tables of each, from `folder` or else from the committed results; none where nothing was written.

    The text has mean, spread and n; where there is none, the rows it would be made of.
    """
    found: list[tuple[str, Blocks]] = []
    for ending, title in ENDINGS.items():
        if file := _found(f"{name}_{ending}.md", folder):
            found.append((title, list(blocks(file.read_text()))))
        elif file := _found(f"{name}_{ending}.csv", folder):
            found.append((title, [pd.read_csv(file)]))
    return found


def pictures(name: str, folder: Path) -> list[Picture]:
    """The graphs that belong to them."""
    files = [(title, _found(f"{name}_{ending}.png", folder)) for ending, title in ENDINGS.items()]
    return [Picture(title, f"{title} of {name}, as a graph", "image/png", f.read_bytes()) for title, f in files if f]


def blocks(text: str) -> Iterator[pd.DataFrame | str]:
    """The tables of a markdown text, all cells as text, and its other lines without the marks of headings and items."""
    for is_table, lines in groupby((line.strip() for line in text.splitlines()), lambda line: line.startswith("|")):
        if is_table:
            header, _, *body = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
            yield pd.DataFrame(body, columns=header, dtype="str")
        else:
            yield from (re.sub(r"^(#+|[-*]) ", "", line) for line in lines if line)


def _found(file: str, folder: Path) -> Path | None:
    return next((place / file for place in (folder, registry.RESULTS) if (place / file).is_file()), None)
