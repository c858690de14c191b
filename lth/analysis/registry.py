"""The registry of experiments: their files, configurations and results, from a store or as committed.

An experiment is a Python file in experiments/ (claims, how it is drawn) and one or more configurations:
conf/experiment/<name>.yaml, and conf/experiment/<name>/<arm>.yaml for each further line of its figure. Any other name
under which results are stored is an experiment too: the user's own, drawn as accuracy over sparsity.
"""

import difflib
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


def select(name: str | None, what: str, runs: Path) -> list[str]:
    """One experiment by name, of the registry or stored under `runs`, or all of the registry; raises UserError that
    lists them. what: "figure" or "experiment".
    """
    if name == "all":
        return names()
    if name in names() or (name and (is_configured(name) or name in stored(runs))):
        return [name]
    close = difflib.get_close_matches(name or "", [*names(), *stored(runs)], n=2, cutoff=0.7)
    meant = f" Did you mean {' or '.join(close)}?" if close else ""
    wrong = f"there is no {what} '{name}'.{meant} " if name else ""
    own = [each for each in stored(runs) if each not in names()]
    yours = f"; yours under {runs}: {', '.join(own)}" if own else ""
    raise UserError(f"{wrong}Choose one of {', '.join(names())}, or all{yours}", code=2 if name else 0)


def is_configured(name: str) -> bool:
    """True if `lth run experiment=<name>` trains it."""
    return (CONF / "experiment" / f"{name}.yaml").is_file()


def arms(name: str) -> list[str]:
    """The configurations of an experiment, as `lth run experiment=` takes them; none of the user's own."""
    if not is_configured(name):
        return []
    return [name, *(f"{name}/{file.stem}" for file in sorted((CONF / "experiment" / name).glob("*.yaml")))]


def load(name: str) -> ModuleType:
    """The module experiments/<name>.py; of the user's own experiments one that draws them."""
    if name not in names():
        return _own(name)
    spec = importlib.util.spec_from_file_location(f"experiments.{name}", EXPERIMENTS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _own(name: str) -> ModuleType:
    """A module for an experiment that has no file."""
    module = ModuleType(f"experiments.{name}", doc=name)

    def draw(tickets: "pd.DataFrame", evaluations: "pd.DataFrame") -> "Figure":
        """Accuracy (or the metric of another task) at early stop and early-stop step, over percent of weights."""
        from lth.analysis import plot

        return plot.sparsity(tickets, name)

    vars(module).update(draw=draw, COST="")
    return module


def drawn_with(experiment: ModuleType, name: str) -> list[str]:
    """The experiment and those whose results its figure and claims need too."""
    return [name, *getattr(experiment, "WITH", ())]


def results(experiment: ModuleType, name: str, runs: Path) -> "tuple[pd.DataFrame, pd.DataFrame]":
    """(tickets, evaluations) of an experiment and of those it is drawn with; for each the store under `runs`, else the
    committed results, else empty tables.
    """
    rows, evaluations = zip(*(_read(each, runs) for each in drawn_with(experiment, name)), strict=True)
    return _filled(_joined(rows)), _joined(evaluations)


def tickets(experiment: ModuleType, name: str, runs: Path) -> "pd.DataFrame":
    """The first table of `results`; committed evaluations are not read."""
    return _filled(_joined([_read(each, runs, curves=False)[0] for each in drawn_with(experiment, name)]))


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


def tables(name: str, runs: Path) -> "tuple[pd.DataFrame, pd.DataFrame]":
    """(tickets, evaluations) of one experiment: stored under `runs`, else committed. Raises UserError."""
    (name,) = select(name, "experiment", runs)
    rows, evaluations = _read(name, runs)
    if rows.empty:
        trains = f"lth run experiment={name}" if is_configured(name) else f"lth run name={name}"
        raise UserError(f"nothing of {name} is stored under {runs}; {trains} trains it", code=1)
    return rows, evaluations


def trainings(experiments: Sequence[str], runs: Path) -> "dict[str, pd.DataFrame]":
    """Experiment -> its tickets, of the named experiments, else all stored, else all committed. Raises UserError."""
    known = stored(runs)
    found = {name: _read(name, runs, curves=False, stale=True)[0] for name in experiments or known or names()}
    for name in experiments:
        if found[name].empty and name not in (all_names := sorted({*known, *names()})):
            raise UserError(f"there is no experiment '{name}'; choose one of {', '.join(all_names)}")
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
        cost = f": {experiment.COST}" if experiment.COST else ""
        raise UserError(f"nothing of {name} is stored under {runs}; lth figure {name} --run trains it{cost}", code=1)
    figure: Figure = experiment.draw(rows, evaluations)
    return figure


def _read(name: str, runs: Path, *, curves: bool = True, stale: bool = False) -> "tuple[pd.DataFrame, pd.DataFrame]":
    """(tickets, evaluations) of one experiment: stored, else committed, else empty. Stale results, of code that changed
    since, are left out and mentioned, unless they are asked for.
    """
    import pandas as pd

    from lth.store import table

    rows, evaluations = table.tables(runs, name)
    rows = _marked(name, rows)
    csv, parquet = committed(f"{name}.csv"), committed(f"{name}.parquet")
    if rows.empty and csv and (parquet or not curves):
        log.info("%s: nothing under %s, using the committed results; lth figure --run trains your own", name, runs)
        rows = _marked(name, _filled(read_csv(csv, TICKETS)))
        return rows, read_parquet(parquet, CURVES) if parquet and curves else pd.DataFrame()
    return (rows if stale else _current(name, rows)), evaluations


def _current(name: str, rows: "pd.DataFrame") -> "pd.DataFrame":
    from lth.analysis.summary import current

    if left := len(rows) - len(kept := current(rows)):
        changes = "; ".join(sorted(rows["stale"].dropna().unique()))
        log.info("%s: %d stale results are left out (%s); lth table lists them", name, left, changes)
    return kept


def _marked(name: str, rows: "pd.DataFrame") -> "pd.DataFrame":
    """Rows of an experiment, of which those that have less than its FULL settings say so in the column `reduced`."""
    return marked(rows, getattr(load(name), "FULL", {})) if name in names() else rows


def _filled(rows: "pd.DataFrame") -> "pd.DataFrame":
    from lth.store.defaults import filled

    return filled(rows)


def _joined(tables: "Sequence[pd.DataFrame]") -> "pd.DataFrame":
    import pandas as pd

    return tables[0] if len(tables) == 1 else pd.concat(tables, ignore_index=True)


def stored(runs: Path) -> list[str]:
    """Names of the experiments stored under `runs`, sorted."""
    from lth.store import records

    return sorted({record["experiment"] for record in records(runs)})
