"""`lth figure`: an experiment of `experiments/` drawn from what is stored, and the tables it was drawn from."""

import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

_here = Path(__file__).resolve().parent
EXPERIMENTS = next(f for f in (_here / "experiments", _here.parent / "experiments") if f.is_dir())
REPLICATES = "replicate=1,2,3"


def main(name: str | None, runs: Path, out: Path, overrides: Sequence[str], *, train: bool) -> int:
    """Draw the figure `name` from the results under `runs` to `out`; returns the exit code."""
    if name not in names():
        wrong = f"there is no figure '{name}'; " if name else ""
        print(f"lth figure: {wrong}choose one of {', '.join(names())}", file=sys.stderr)
        return 2 if name else 0
    experiment = load(name)
    if train:
        from lth import run

        replicates = [] if any(o.startswith("replicate=") for o in overrides) else [REPLICATES]
        given = [f"experiment={name}", f"root={runs}", "hydra/launcher=joblib", *replicates, *overrides]
        if code := run.main(["-m", *given]):
            return code
    return _draw(experiment, name, runs, out)


def names() -> list[str]:
    """The experiments there are."""
    return sorted(file.stem for file in EXPERIMENTS.glob("[a-z]*.py"))


def load(name: str) -> ModuleType:
    """The module experiments/<name>.py."""
    spec = importlib.util.spec_from_file_location(f"experiments.{name}", EXPERIMENTS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _draw(experiment: ModuleType, name: str, runs: Path, out: Path) -> int:
    from lth import plot, table

    rows = table.tickets(runs, name)
    if rows.empty:
        print(
            f"lth figure: nothing of {name} is stored under {runs}; --run trains it: {experiment.COST}", file=sys.stderr
        )
        return 1
    evaluations = table.evaluations(runs, name)
    files = plot.save(experiment.draw(rows, evaluations), out, name)
    rows.to_csv(out / f"{name}.csv", index=False)
    (out / f"{name}.md").write_text(table.markdown(rows) + "\n")
    evaluations.to_parquet(out / f"{name}.parquet", index=False)
    files += [out / f"{name}.{kind}" for kind in ("csv", "md", "parquet")]
    print(f"{table.markdown(rows)}\n", *files, sep="\n")
    return 0
