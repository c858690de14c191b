"""Results of an experiment after a run: its table, its figures, and commands to continue with."""

import hashlib
import logging
import os
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from lth.analysis import learning, summary
from lth.analysis.branches import quantized
from lth.analysis.metric import metric
from lth.analysis.variants import only_fresh
from lth.cli.config.overrides import expand
from lth.cli.console import console
from lth.cli.failure import words
from lth.store import table
from lth.store.names import folder_of

if TYPE_CHECKING:
    from lth.analysis.plot import Figure

log = logging.getLogger("lth")
LISTED = 20  # replicates that are listed one by one, at most, if they follow each other
LONGEST = 60  # characters of a variant in the name of a file


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
        except OSError as error:
            log.warning("no figure could be drawn: %s", words(error))
            return []
        except Exception as error:
            log.warning("no figure could be drawn (%s: %s)", type(error).__name__, error)
            return []

    @property
    def images(self) -> dict[str, Path]:
        """Name -> PNG file of each figure."""
        return {file.stem: file for file in self.figures if file.suffix == ".png"}


def show(results: Results, typed: Sequence[str] = ()) -> None:
    """Print the table, the files of the figures, and what to type next. typed: what the user gave."""
    if results.tickets.empty:
        return
    lth = "lth" if shutil.which("lth") else f"{os.path.relpath(sys.executable)} -m lth"
    runs = "" if str(results.root) == "runs" else f" --runs {shlex.quote(str(results.root))}"
    text = summary.markdown(results.tickets)
    if console.is_terminal:
        text = summary.clipped(text, f"{lth} table {shlex.quote(results.experiment)}{runs}")
    console.print(f"\n{text}\n", markup=False)
    for file in results.figures:
        console.print(f"figure  {file}", markup=False)
    console.print(f"results {results.root}", markup=False)
    rows = f"{lth} table {shlex.quote(results.experiment)}{runs} --format csv     one row per trained ticket"
    console.print(f"next    {rows}\n        {lth} run {_more(typed)}", markup=False)


def _more(typed: Sequence[str]) -> str:
    """The arguments of the next run, and what they do: after a trial the same in full, else the replicates that were
    given and the next ones, which make five, or five more.
    """
    typed = [word for word in typed if word != "--debug"]
    full = [word for word in typed if not re.fullmatch(r"debug=(?!false).*", word, re.IGNORECASE)]
    if len(full) < len(typed):
        return f"{shlex.join(full)}     the same in full"
    fewer = ("-m", "--multirun", "replicate=", "hydra/launcher=basic", "hydra.launcher.n_jobs=", "hydra.mode=")
    kept = [word for word in typed if not word.startswith(fewer)]
    searches = any(word.startswith("hydra/sweeper=") for word in kept)  # each trial is the mean of its replicates
    here = not any(word.startswith("hydra/launcher=") and not word.endswith("=joblib") for word in kept)
    given = [word for word in typed if word.startswith("replicate=")][-1:]
    numbers = sorted({int(number) for values in expand(given or ["replicate=1"]) for value in values
                      for number in re.findall(r"\d+", value)})  # fmt: skip
    numbers += range(numbers[-1] + 1, numbers[-1] + 1 + (5 - len(numbers) if len(numbers) < 5 else 5))
    wanted = ",".join(map(str, numbers))
    if len(numbers) > LISTED and numbers[-1] - numbers[0] < len(numbers) and not searches:
        wanted = f"range({numbers[0]},{numbers[-1] + 1})"
    more = shlex.join([*kept, "-m", f"replicate={f'[{wanted}]' if searches else wanted}"])
    return f"{more}     more replicates{', on all cores' * here}"


def _draw(results: Results) -> Iterator[Path]:
    """Draw accuracy over sparsity, and the learning curves of each variant, of the first few if there are many; all
    without stale results.
    """
    from lth.analysis import plot

    (rows, evaluations), name = results.tables, results.experiment
    if (rows := only_fresh(rows)).empty:
        return
    ends = metric(rows).final if quantized(rows) else ""  # quantized nets begin where the others end
    make = partial(plot.sparsity, rows, name, columns=(ends, "early_stop_step"))
    drawn = _drawn(results, "sparsity", plot.key(name, rows), make)
    for each in learning.drawn(name, rows, evaluations):
        make = partial(plot.curves, each.evaluations, each.rows, title=each.title)
        drawn += _drawn(results, _curves_file(each.name), plot.key(each.title, each.rows, each.evaluations), make)
    _remove_others(results, drawn)
    yield from drawn


def _remove_others(results: Results, drawn: Sequence[Path]) -> None:
    """Remove learning curves of variants that were named otherwise when there were fewer."""
    folder = results.root / "figures" / folder_of(results.experiment)
    for file in {*folder.glob("curves*.png"), *folder.glob("curves*.pdf")} - {*drawn}:
        file.unlink(missing_ok=True)


def _curves_file(variant: str) -> str:
    """A name that depends on nothing but the variant: curves-rewind.step=20; a digest completes one that is cut."""
    plain = re.sub(r"[^\w.=-]+", "_", variant).strip("_")
    cut = plain if len(plain) <= LONGEST else f"{plain[:LONGEST]}-{hashlib.sha256(variant.encode()).hexdigest()[:8]}"
    return f"curves-{cut}" if variant else "curves"


def _drawn(results: Results, name: str, key: str, make: "Callable[[], Figure]") -> list[Path]:
    """The files of a figure; drawn only if those that are there show something else."""
    from lth.analysis import plot

    folder = results.root / "figures" / folder_of(results.experiment)
    return plot.drawn(folder, name, key) or plot.save(make(), folder, name, key)
