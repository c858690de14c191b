"""Tables and graphs that `lth compress` and `lth layout` write of an experiment: <name>_<ending>.md, .csv and .png."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from lth import UserError
from lth.analysis import committed, results
from lth.analysis.markdown import blocks
from lth.analysis.report.blocks import Picture

ENDINGS = {
    "files": ("Size and accuracy of the files", committed.FILES),
    "layouts": ("Size and speed of the layouts", committed.LAYOUTS),
}


def tables(name: str, folder: Path) -> list[tuple[str, Sequence[pd.DataFrame | str]]]:
    """(title, tables and notes) of each ending that is in `folder` or among the committed results.

    From the markdown, which has mean, spread and n, or else from the CSV with a row per measurement.
    """
    found: list[tuple[str, Sequence[pd.DataFrame | str]]] = []
    for ending, (title, schema) in ENDINGS.items():
        if file := results.committed(f"{name}_{ending}.md", folder):
            found.append((title, _blocks(file)))
        elif file := results.committed(f"{name}_{ending}.csv", folder):
            found.append((title, [committed.read_csv(file, schema)]))
    return found


def pictures(name: str, folder: Path) -> list[Picture]:
    """The graphs beside these tables."""
    files = [(title, results.committed(f"{name}_{ending}.png", folder)) for ending, (title, _) in ENDINGS.items()]
    contents = [(title, committed.content(file)) for title, file in files if file]
    return [Picture(title, f"{title} of {name}, as a graph", "image/png", image) for title, image in contents]


def _blocks(file: Path) -> list[pd.DataFrame | str]:
    try:
        return [_frame(block) for block in blocks(committed.text(file))]
    except UserError:
        raise
    except (ValueError, IndexError) as error:
        raise UserError(f"{file} has a table that is cut off: {error}", code=1) from error


def _frame(block: list[list[str]] | str) -> pd.DataFrame | str:
    return block if isinstance(block, str) else pd.DataFrame(block[1:], columns=block[0], dtype="str")
