"""Results of experiments: from a store, as committed, or both.

A committed table is the one that `lth figure` wrote: experiments/results/<name>.csv, its learning curves beside it.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pandas as pd

from lth import UserError
from lth.analysis.committed import CURVES, FILES, TICKETS, is_listed, read_csv, read_parquet
from lth.analysis.full import marked
from lth.analysis.joined import joined
from lth.analysis.registry import EXPERIMENTS, drawn_with, is_configured, load, names, select, stored
from lth.analysis.variants import only_fresh
from lth.store import table
from lth.store.defaults import filled
from lth.store.record import has_records, no_results, records

if TYPE_CHECKING:
    from matplotlib.figure import Figure

log = logging.getLogger("lth")
RESULTS = EXPERIMENTS / "results"


def of(
    experiment: ModuleType, name: str, runs: Path, *, with_committed: bool = False
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(tickets, evaluations) of an experiment and of those it is drawn with; for each the store under `runs`, else the
    committed results, else empty tables. with_committed: of replicates that the store lacks, the committed results too.
    """
    read = _with_committed if with_committed else _read
    rows, evaluations = zip(*(read(each, runs) for each in drawn_with(experiment, name)), strict=True)
    return filled(_joined(rows)), _joined(evaluations)


def tickets(experiment: ModuleType, name: str, runs: Path, unstored: set[str] | None = None) -> pd.DataFrame:
    """The first table of `of`, without reading committed evaluations. unstored: takes the names of experiments whose
    committed results are used, in place of a log line for each.
    """
    return filled(_joined(_tickets(drawn_with(experiment, name), runs, unstored)))


def also(experiment: ModuleType, runs: Path, unstored: set[str] | None = None) -> list[pd.DataFrame]:
    """The tickets of each experiment in ALSO: of longer trainings of the same nets, drawn by themselves, with which
    the claims of this experiment are compared too.
    """
    return [filled(rows) for rows in _tickets(getattr(experiment, "ALSO", ()), runs, unstored)]


def _tickets(names: Iterable[str], runs: Path, unstored: set[str] | None) -> list[pd.DataFrame]:
    return [_read(name, runs, curves=False, unstored=unstored)[0] for name in names]


def committed(file: str, folder: Path | None = None) -> Path | None:
    """The path of a file in `folder`, else among the committed results; None if it is in neither. Raises UserError if
    it was committed and is missing.
    """
    places = [RESULTS] if folder is None else [folder, RESULTS]
    found = next((place / file for place in places if (place / file).exists()), None)
    if found is None and is_listed(RESULTS / file):
        raise UserError(f"{RESULTS / file} is missing: restore it (git checkout)", code=1)
    return found


def files(name: str, folder: Path = Path("figures")) -> pd.DataFrame:
    """The table of files that `lth compress` wrote to `folder`, else the committed one, else an empty one."""
    file = committed(f"{name}_files.csv", folder)
    if file and file.parent == folder:
        log.info("%s: sizes of files by %s, which lth compress wrote", name, file)
    return read_csv(file, FILES) if file else pd.DataFrame()


def tables(name: str, runs: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(tickets, evaluations) of one experiment: stored under `runs`, else committed. Raises UserError."""
    (name,) = select(name, "experiment", runs, several=False)
    rows, evaluations = _read(name, runs)
    if rows.empty:
        trains = f"lth run experiment={name}" if is_configured(name) else f"lth run name={name}"
        raise _nothing(name, runs, f"{trains} trains it")
    return rows, evaluations


def trainings(experiments: Sequence[str], runs: Path) -> dict[str, pd.DataFrame]:
    """Experiment -> its tickets, of the named experiments, else all stored, else all committed. Raises UserError."""
    known = stored(runs)
    found = {name: _read(name, runs, curves=False, stale=True)[0] for name in experiments or known or names()}
    for name in experiments:
        if found[name].empty and not has_records(runs, name):
            select(name, "experiment", runs, several=False)
        if found[name].empty:
            raise _nothing(name, runs, f"lth run experiment={name} trains it")
    found = {name: rows for name, rows in found.items() if not rows.empty}
    if not found:
        raise UserError(no_results(runs), code=1)
    return found


def drawn(name: str, runs: Path = Path("runs")) -> "Figure":
    """The figure of an experiment, from the store under `runs` or from the committed results; raises UserError
    if there are none.
    """
    experiment = load(name)
    return figure_of(experiment, name, runs, *of(experiment, name, runs))


def figure_of(experiment: ModuleType, name: str, runs: Path, rows: pd.DataFrame, evaluations: pd.DataFrame) -> "Figure":
    """The figure of an experiment, from what `of` gives; raises UserError if there are none."""
    if rows.empty or name not in set(rows["experiment"]):
        cost = f" ({experiment.COST})" if experiment.COST else ""
        raise _nothing(name, runs, f"lth figure {name} --run trains it{cost}")
    figure: Figure = experiment.draw(rows, evaluations)
    return figure


def _nothing(name: str, runs: Path, remedy: str) -> UserError:
    """The error for an experiment without results; if it has records, the remedy is the command that wrote them."""
    unread = has_records(runs, name)
    return UserError(
        no_results(runs, name) if unread else f"nothing of {name} is stored under {runs}; {remedy}", code=1
    )


def _read(
    name: str, runs: Path, *, curves: bool = True, stale: bool = False, unstored: set[str] | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(tickets, evaluations) of one experiment: stored, else committed, else empty. Stale results, of code that changed
    since, are left out and mentioned, unless they are asked for. unstored: see `tickets`.
    """
    rows, evaluations = table.tables(runs, name)
    if rows.empty and not (kept := _committed(name, curves=curves))[0].empty:
        own = f"lth figure {name} --run trains your own"
        if unstored is None:
            log.info("%s: nothing under %s, using the committed results; %s", name, runs, own)
        else:
            unstored.add(name)
        return kept
    rows = _marked(name, rows)
    if stale or rows.empty:
        return rows, evaluations
    rows = _current(name, rows)
    return rows, evaluations[evaluations["digest"].isin(rows["digest"])]


def _committed(name: str, *, curves: bool = True) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The committed (tickets, evaluations) of one experiment; empty unless both files are there."""
    csv, parquet = committed(f"{name}.csv"), committed(f"{name}.parquet")
    if not csv or (curves and not parquet):
        return pd.DataFrame(), pd.DataFrame()
    rows = _marked(name, filled(read_csv(csv, TICKETS)))
    return rows, read_parquet(parquet, CURVES) if parquet and curves else pd.DataFrame()


def _with_committed(name: str, runs: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(tickets, evaluations) of one experiment: stored and committed ones joined."""
    own_code = any(record["code"].get("sources") for record in records(runs, name))
    return joined(name, runs, _read(name, runs), _committed(name), own_code=own_code)


def _current(name: str, rows: pd.DataFrame) -> pd.DataFrame:
    if left := len(rows) - len(kept := only_fresh(rows)):
        changes = "; ".join(sorted(rows["stale"].dropna().unique()))
        log.info("%s: %d stale results are left out (%s); lth table lists them", name, left, changes)
    return kept


def _marked(name: str, rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of an experiment, of which those that have less than its FULL settings say so in the column `reduced`."""
    return marked(rows, getattr(load(name), "FULL", {})) if name in names() else rows


def reduction(name: str, row: Mapping[str, Any]) -> str | None:
    """The settings of a row of an experiment that are less than its FULL ones, such as "steps 400 instead of 30000"."""
    table = _marked(name, pd.DataFrame([row]))
    return table["reduced"].iloc[0] if "reduced" in table else None


def _joined(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    return tables[0] if len(tables) == 1 else pd.concat(tables, ignore_index=True)
