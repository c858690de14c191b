"""The registry of experiments: their files, configurations and results, from a store or as committed.

An experiment is a file there (claims, how it is drawn) and one or more configurations: conf/experiment/<name>.yaml, and
an arm for each further line of its figure, conf/experiment/<name>/<arm>.yaml.
"""

import importlib.util
import logging
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from lth import UserError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

log = logging.getLogger("lth")
_here = Path(__file__).resolve().parent.parent
EXPERIMENTS = next(f for f in (_here / "experiments", _here.parent / "experiments") if f.is_dir())
CONF = next(f for f in (_here / "conf", _here.parent / "conf") if (f / "config.yaml").is_file())
RESULTS = EXPERIMENTS / "results"


def names() -> list[str]:
    """The experiments there are."""
    return sorted(file.stem for file in EXPERIMENTS.glob("[a-z]*.py"))


def chosen(name: str | None, what: str) -> list[str]:
    """One experiment by name, or all of them; raises UserError that lists them."""
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


def results(experiment: ModuleType, name: str, runs: Path) -> "tuple[pd.DataFrame, pd.DataFrame]":
    """(tickets, evaluations) of an experiment and of those it is drawn with; what is not stored under `runs` is read
    from the committed results. Empty if there is neither.
    """
    import pandas as pd

    parts = [_stored(each, runs) for each in (name, *getattr(experiment, "WITH", ()))]
    tickets, evaluations = (pd.concat(tables, ignore_index=True) for tables in zip(*parts, strict=True))
    return tickets, evaluations


def files(name: str, folder: Path = Path("figures")) -> "pd.DataFrame":
    """What `lth compress` wrote of an experiment to `folder`, or else what is committed; empty if there is neither."""
    import pandas as pd

    found = [place / f"{name}_files.csv" for place in (folder, RESULTS)]
    return next((pd.read_csv(file) for file in found if file.is_file()), pd.DataFrame())


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
        what = f"nothing of {name} is stored under {runs}"
        raise UserError(f"{what}; lth figure {name} --run trains it: {experiment.COST}", code=1)
    figure: Figure = experiment.draw(rows, evaluations)
    return figure


def _stored(name: str, runs: Path) -> "tuple[pd.DataFrame, pd.DataFrame]":
    import pandas as pd

    from lth.store import table

    rows = table.tickets(runs, name)
    if not rows.empty:
        return rows, table.evaluations(runs, name)
    files = RESULTS / f"{name}.csv", RESULTS / f"{name}.parquet"
    if all(file.is_file() for file in files):
        log.info("%s: nothing under %s, taken from the results that come with lth; --run trains your own", name, runs)
        return pd.read_csv(files[0]), pd.read_parquet(files[1])
    return pd.DataFrame(), pd.DataFrame()
