"""The registry of experiments: their files, configurations and results, from a store or as committed.

An experiment is a Python file in experiments/ (claims, how it is drawn) and one or more configurations:
conf/experiment/<name>.yaml, and conf/experiment/<name>/<arm>.yaml for each further line of its figure.
"""

import importlib.util
import logging
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from lth import UserError
from lth.analysis.committed import CURVES, FILES, TICKETS, is_listed, read_csv, read_parquet
from lth.analysis.full import marked

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

log = logging.getLogger("lth")
_here = Path(__file__).resolve().parent.parent
EXPERIMENTS = next(f for f in (_here / "experiments", _here.parent / "experiments") if f.is_dir())
CONF = next(f for f in (_here / "conf", _here.parent / "conf") if (f / "config.yaml").is_file())
RESULTS = EXPERIMENTS / "results"


def names() -> list[str]:
    """All experiments, sorted."""
    return sorted(file.stem for file in EXPERIMENTS.glob("[a-z]*.py"))


def select(name: str | None, what: str) -> list[str]:
    """One experiment by name, or all of them; raises UserError that lists them. what: "figure" or "experiment"."""
    if name == "all":
        return names()
    if name not in names():
        wrong = f"there is no {what} '{name}'; " if name else ""
        raise UserError(f"{wrong}choose one of {', '.join(names())}, or all", code=2 if name else 0)
    return [name]


def arms(name: str) -> list[str]:
    """The configurations of an experiment, as `lth run experiment=` takes them."""
    return [name, *(f"{name}/{file.stem}" for file in sorted((CONF / "experiment" / name).glob("*.yaml")))]


def load(name: str) -> ModuleType:
    """The module experiments/<name>.py."""
    spec = importlib.util.spec_from_file_location(f"experiments.{name}", EXPERIMENTS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def drawn_with(experiment: ModuleType, name: str) -> list[str]:
    """The experiment and those whose results its figure and claims need too."""
    return [name, *getattr(experiment, "WITH", ())]


def results(experiment: ModuleType, name: str, runs: Path) -> "tuple[pd.DataFrame, pd.DataFrame]":
    """(tickets, evaluations) of an experiment and of those it is drawn with; for each the store under `runs`, else the
    committed results, else empty tables.
    """
    parts = [_read(each, runs) for each in drawn_with(experiment, name)]
    rows, evaluations = map(_joined, zip(*parts, strict=True))
    return rows, evaluations


def tickets(experiment: ModuleType, name: str, runs: Path) -> "pd.DataFrame":
    """The first table of `results`; committed evaluations are not read."""
    return _joined([_read(each, runs, curves=False)[0] for each in drawn_with(experiment, name)])


def committed(file: str, folder: Path | None = None) -> Path | None:
    """The path of a file in `folder`, else among the committed results; None if it is in neither. Raises UserError if
    it was committed and is missing.
    """
    places = [RESULTS] if folder is None else [folder, RESULTS]
    found = next((place / file for place in places if (place / file).exists()), None)
    if found is None and is_listed(RESULTS / file):
        raise UserError(f"{RESULTS / file} is missing: restore it (git checkout)", code=1)
    return found


def files(name: str, folder: Path = Path("figures")) -> "pd.DataFrame":
    """The table of files that `lth compress` wrote to `folder`, else the committed one, else an empty one."""
    import pandas as pd

    file = committed(f"{name}_files.csv", folder)
    return read_csv(file, FILES) if file else pd.DataFrame()


def trainings(experiments: Sequence[str], runs: Path) -> "dict[str, pd.DataFrame]":
    """Experiment -> its tickets, of the named experiments, else all stored, else all committed. Raises UserError."""
    stored = _stored(runs)
    found = {name: _read(name, runs, curves=False)[0] for name in experiments or stored or names()}
    for name in experiments:
        if found[name].empty and name not in (known := sorted({*stored, *names()})):
            raise UserError(f"there is no experiment '{name}'; choose one of {', '.join(known)}")
        if found[name].empty:
            raise UserError(f"nothing of {name} is stored under {runs}; lth run experiment={name} trains it", code=1)
    found = {name: rows for name, rows in found.items() if not rows.empty}
    if not found:
        raise UserError(f"nothing is stored under {runs}; lth run trains, --runs names another folder", code=1)
    return found


def drawn(name: str, runs: Path = Path("runs")) -> "Figure":
    """The figure of an experiment, from the store under `runs` or from the committed results; raises UserError
    if there are none.
    """
    experiment = load(name)
    return figure_of(experiment, name, runs, *results(experiment, name, runs))


def figure_of(
    experiment: ModuleType, name: str, runs: Path, rows: "pd.DataFrame", evaluations: "pd.DataFrame"
) -> "Figure":
    """The figure of an experiment, from its `results` under `runs`; raises UserError if there are none."""
    if rows.empty or name not in set(rows["experiment"]):
        message = f"nothing of {name} is stored under {runs}"
        raise UserError(f"{message}; lth figure {name} --run trains it: {experiment.COST}", code=1)
    figure: Figure = experiment.draw(rows, evaluations)
    return figure


def _read(name: str, runs: Path, *, curves: bool = True) -> "tuple[pd.DataFrame, pd.DataFrame]":
    """(tickets, evaluations) of one experiment: stored, else committed, else empty."""
    import pandas as pd

    from lth.store import table

    rows, evaluations = table.tables(runs, name)
    rows = _marked(name, rows)
    csv, parquet = committed(f"{name}.csv"), committed(f"{name}.parquet")
    if rows.empty and csv and (parquet or not curves):
        log.info("%s: nothing under %s, using the committed results; --run trains your own", name, runs)
        rows = _marked(name, read_csv(csv, TICKETS))
        return rows, read_parquet(parquet, CURVES) if parquet and curves else pd.DataFrame()
    return rows, evaluations


def _marked(name: str, rows: "pd.DataFrame") -> "pd.DataFrame":
    """Rows of an experiment, of which those that have less than its FULL settings say so in the column `reduced`."""
    return marked(rows, getattr(load(name), "FULL", {})) if name in names() else rows


def _joined(tables: "Sequence[pd.DataFrame]") -> "pd.DataFrame":
    import pandas as pd

    return tables[0] if len(tables) == 1 else pd.concat(tables, ignore_index=True)


def _stored(runs: Path) -> list[str]:
    from lth.store import records

    return sorted({record["experiment"] for record in records(runs)})
