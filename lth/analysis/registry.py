"""The registry of experiments: their files and their configurations; `lth.analysis.results` has their results.

An experiment is a Python file in experiments/ (claims, how it is drawn) and one or more configurations:
conf/experiment/<name>.yaml, and conf/experiment/<name>/<arm>.yaml for each further line of its figure. Any other name
under which results are stored is an experiment too: the user's own, drawn as accuracy over sparsity.
"""

import ast
import importlib.util
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from lth import UserError
from lth.store.names import did_you_mean, similar

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

_here = Path(__file__).resolve().parent.parent
EXPERIMENTS = next(f for f in (_here / "experiments", _here.parent / "experiments") if f.is_dir())
CONF = next(f for f in (_here / "conf", _here.parent / "conf") if (f / "config.yaml").is_file())


def names() -> list[str]:
    """All experiments, sorted."""
    return sorted(file.stem for file in EXPERIMENTS.glob("[a-z]*.py"))


def select(name: str, what: str, runs: Path, *, several: bool = True) -> list[str]:
    """One experiment by name, of the registry or stored under `runs`; raises UserError that says where they are listed.
    several: "all" is the whole registry. what: "figure" or "experiment".
    """
    if name == "all" and several:
        return names()
    if name in names() or is_configured(name) or name in stored(runs):
        return [name]
    meant = did_you_mean(similar(name, [*names(), *stored(runs)])) or "."
    own = [each for each in stored(runs) if each not in names()]
    yours = f"; yours under {runs} are {', '.join(own)}" if own else ""
    none = "" if stored(runs) else f"; nothing is stored under {runs}"
    every = " (all: each of them)" * several
    raise UserError(f"there is no {what} '{name}'{meant} lth figure lists those that come with lth{every}{yours}{none}")


def listing(runs: Path) -> str:
    """A line for each experiment: its name and its title; behind them those that are stored under `runs` alone."""
    files = {name: (EXPERIMENTS / f"{name}.py").read_text(encoding="utf-8") for name in names()}
    titles = {name: (ast.get_docstring(ast.parse(text)) or name).partition("\n")[0] for name, text in files.items()}
    titles |= {name: f"yours, under {runs}" for name in stored(runs) if name not in titles}
    width = max(map(len, titles))
    return "\n".join(f"{name:{width}}  {title}" for name, title in titles.items())


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
        """Accuracy (or the metric of another task) at early stop and early-stop step, over percent of weights; a row
        of panels for each data set.
        """
        from lth.analysis import plot

        return plot.sparsity(tickets, name, rows="data" if tickets["data"].nunique() > 1 else "")

    vars(module).update(draw=draw, COST="")
    return module


def drawn_with(experiment: ModuleType, name: str) -> list[str]:
    """The experiment and those whose results its figure and claims need too."""
    return [name, *getattr(experiment, "WITH", ())]


def stored(runs: Path) -> list[str]:
    """Names of the experiments stored under `runs`, sorted."""
    from lth.store import records

    return sorted({record["experiment"] for record in records(runs)})
