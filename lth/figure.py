"""`lth figure`: an experiment of `experiments/` drawn from what is stored, and the tables it was drawn from.

An experiment is a file there (claims, how it is drawn) and one or more configurations: conf/experiment/<name>.yaml, and
an arm for each further line of its figure, conf/experiment/<name>/<arm>.yaml.
"""

import importlib.util
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

log = logging.getLogger("lth")
_here = Path(__file__).resolve().parent
EXPERIMENTS = next(f for f in (_here / "experiments", _here.parent / "experiments") if f.is_dir())
RESULTS = EXPERIMENTS / "results"
REPLICATES = "replicate=1,2,3"


def main(name: str | None, runs: Path, out: Path, overrides: Sequence[str], *, train: bool) -> int:
    """Draw the figure `name` ("all": every one) from the results under `runs` to `out`; returns the exit code."""
    if name not in (*names(), "all"):
        wrong = f"there is no figure '{name}'; " if name else ""
        print(f"lth figure: {wrong}choose one of {', '.join(names())}, or all", file=sys.stderr)
        return 2 if name else 0
    from lth import command

    command.log_to_console(stderr=True)
    return max(_one(each, runs, out, overrides, train) for each in (names() if name == "all" else [name]))


def names() -> list[str]:
    """The experiments there are."""
    return sorted(file.stem for file in EXPERIMENTS.glob("[a-z]*.py"))


def arms(name: str) -> list[str]:
    """The configurations of an experiment, as `lth run experiment=` takes them."""
    from lth.run import CONF

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
    """The figure of an experiment, from the store under `runs` or from the committed results; raises FileNotFoundError
    if there are none.
    """
    experiment = load(name)
    return figure_of(experiment, name, runs, *results(experiment, name, runs))


def figure_of(
    experiment: ModuleType, name: str, runs: Path, rows: "pd.DataFrame", evaluations: "pd.DataFrame"
) -> "Figure":
    """The figure of an experiment, from its `results` under `runs`; raises FileNotFoundError if there are none."""
    if rows.empty or name not in set(rows["experiment"]):
        what = f"nothing of {name} is stored under {runs}"
        raise FileNotFoundError(f"{what}; lth figure {name} --run trains it: {experiment.COST}")
    figure: Figure = experiment.draw(rows, evaluations)
    return figure


def _stored(name: str, runs: Path) -> "tuple[pd.DataFrame, pd.DataFrame]":
    import pandas as pd

    from lth import table

    rows = table.tickets(runs, name)
    if not rows.empty:
        return rows, table.evaluations(runs, name)
    files = RESULTS / f"{name}.csv", RESULTS / f"{name}.parquet"
    if all(file.is_file() for file in files):
        log.info("%s: nothing under %s, taken from the results that come with lth; --run trains your own", name, runs)
        return pd.read_csv(files[0]), pd.read_parquet(files[1])
    return pd.DataFrame(), pd.DataFrame()


def _one(name: str, runs: Path, out: Path, overrides: Sequence[str], train: bool) -> int:
    experiment = load(name)
    if train and (code := _train(experiment, name, runs, overrides)):
        return code
    return _draw(experiment, name, runs, out)


def _train(experiment: ModuleType, name: str, runs: Path, overrides: Sequence[str]) -> int:
    from lth import run

    replicates = [] if any(o.startswith("replicate=") for o in overrides) else [REPLICATES]
    configurations = [arm for each in (name, *getattr(experiment, "WITH", ())) for arm in arms(each)]
    given = [f"experiment={','.join(configurations)}", f"root={runs}", "hydra/launcher=joblib", *replicates]
    return run.main(["-m", *given, *overrides])


def _draw(experiment: ModuleType, name: str, runs: Path, out: Path) -> int:
    from lth import plot, table

    rows, evaluations = results(experiment, name, runs)
    try:
        files = plot.save(figure_of(experiment, name, runs, rows, evaluations), out, name)
    except FileNotFoundError as error:
        print(f"lth figure: {error}", file=sys.stderr)
        return 1
    own = rows[rows["experiment"] == name]
    own.dropna(axis=1, how="all").to_csv(out / f"{name}.csv", index=False)
    (out / f"{name}.md").write_text(table.markdown(own) + "\n")
    evaluations[evaluations["experiment"] == name].to_parquet(out / f"{name}.parquet", index=False)
    files += [out / f"{name}.{kind}" for kind in ("csv", "md", "parquet")]
    print(f"{table.markdown(rows)}\n", *files, sep="\n")
    return 0
