"""Results of an experiment after a run: its table, its figures, and commands to continue with."""

import logging
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from lth.analysis import summary
from lth.cli.console import console
from lth.store import table
from lth.store.names import folder_of

if TYPE_CHECKING:
    from lth.analysis.plot import Figure

log = logging.getLogger("lth")
MOST = 12  # figures of learning curves; each takes half a second


@dataclass(frozen=True)
class Results:
    """Tables and figures of an experiment under `root`; each is read or drawn once, when it is first asked for."""

    root: Path
    experiment: str

    @cached_property
    def tables(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """One row per trained ticket; one row per evaluation. Brings the index of the store up to date first."""
        with suppress(OSError):  # a disk that is full or can't be written: the tables are right without an index
            table.refresh(self.root)
        return table.tables(self.root, self.experiment)

    @property
    def tickets(self) -> pd.DataFrame:
        """One row per trained ticket."""
        return self.tables[0]

    @cached_property
    def figures(self) -> list[Path]:
        """Files of the figures. If they can't be drawn, a warning says why: what was trained is not lost."""
        if self.tickets.empty:
            return []
        try:
            return [*_draw(self)]
        except Exception as error:
            log.warning("no figure could be drawn (%s: %s)", type(error).__name__, error)
            return []

    @property
    def images(self) -> dict[str, Path]:
        """Name -> PNG file of each figure."""
        return {file.stem: file for file in self.figures if file.suffix == ".png"}


def show(results: Results) -> None:
    """Print the table, the files of the figures, and what to type next."""
    if results.tickets.empty:
        return
    console.print(f"\n{summary.markdown(results.tickets)}\n", markup=False)
    for file in results.figures:
        console.print(f"figure  {file}", markup=False)
    console.print(f"results {results.root}", markup=False)
    lth = "lth" if shutil.which("lth") else f"{os.path.relpath(sys.executable)} -m lth"
    runs = "" if str(results.root) == "runs" else f" --runs {shlex.quote(str(results.root))}"
    console.print(f"next    {lth} table{runs} --format csv     one row per trained ticket", markup=False)
    console.print(
        f"        {lth} run ... -m replicate=1,2,3,4,5 hydra/launcher=joblib     more replicates, on all cores",
        markup=False,
    )


def _draw(results: Results) -> Iterator[Path]:
    """Draw accuracy over sparsity, and the learning curves of each variant, of the first few if there are many."""
    from lth.analysis import plot

    (rows, evaluations), name = results.tables, results.experiment
    yield from _drawn(results, "sparsity", plot.key(name, rows), lambda: plot.sparsity(rows, name))
    groups = [*rows.groupby(summary.variants(rows), sort=False)]
    if len(groups) > MOST:
        log.info("learning curves are drawn of the first %d of %d variants", MOST, len(groups))
    for number, (variant, part) in enumerate(groups[:MOST]):
        curves = evaluations[evaluations["digest"].isin(part["digest"])]
        title = f"{name}: {variant}" if variant else name
        make = partial(plot.curves, curves, part, title=title)
        yield from _drawn(results, f"curves-{number + 1}" if variant else "curves", plot.key(title, part, curves), make)


def _drawn(results: Results, name: str, key: str, make: "Callable[[], Figure]") -> list[Path]:
    """The files of a figure; drawn only if those that are there show something else."""
    from lth.analysis import plot

    folder = results.root / "figures" / folder_of(results.experiment)
    return plot.drawn(folder, name, key) or plot.save(make(), folder, name, key)
