"""Tables and graphs that `lth compress` and `lth layout` write of an experiment: <name>_<ending>.md, .csv and .png."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from lth.analysis import registry
from lth.analysis.markdown import blocks
from lth.analysis.report.blocks import Picture

ENDINGS = {"files": "Size and accuracy of the files", "layouts": "Size and speed of the layouts"}


def tables(name: str, folder: Path) -> list[tuple[str, Sequence[pd.DataFrame | str]]]:
    """(title, tables and notes) of each ending that is in `folder` or among the committed results.

    From the markdown, which has mean, spread and n, or else from the CSV with a row per measurement.
    """
    found: list[tuple[str, Sequence[pd.DataFrame | str]]] = []
    for ending, title in ENDINGS.items():
        if file := registry.committed(f"{name}_{ending}.md", folder):
            found.append((title, [_frame(block) for block in blocks(file.read_text())]))
        elif file := registry.committed(f"{name}_{ending}.csv", folder):
            found.append((title, [pd.read_csv(file)]))
    return found


def pictures(name: str, folder: Path) -> list[Picture]:
    """The graphs beside these tables."""
    files = [(title, registry.committed(f"{name}_{ending}.png", folder)) for ending, title in ENDINGS.items()]
    return [Picture(title, f"{title} of {name}, as a graph", "image/png", f.read_bytes()) for title, f in files if f]


def _frame(block: list[list[str]] | str) -> pd.DataFrame | str:
    return block if isinstance(block, str) else pd.DataFrame(block[1:], columns=block[0], dtype="str")
