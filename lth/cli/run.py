"""What `lth run` does with a job: shows it, runs it, and tells how it ended."""

import contextlib
import logging
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from lth import job as jobs
from lth.analysis import summary
from lth.cli.console import console, log_to_console
from lth.cli.display import Display, interruptible
from lth.engine import Interrupted
from lth.job import Job
from lth.store import Store, table
from lth.store.environment import peak_memory
from lth.ticket import Trained


@dataclass(frozen=True)
class Setting:
    """How a job is run. `tracking` makes the tracker of the job; `sweeping` says that it is one of several."""

    root: Path
    tracking: Callable[..., Any]
    config: Mapping[str, Any]
    keep: str = "all"
    threads: int = 1
    plan: bool = False
    sweeping: bool = False


def run(values: Callable[[], Job], setting: Setting) -> int:
    """Run the job that `values` makes and say how it went; returns the exit code: 0, 1 (failed) or 130 (Ctrl-C)."""
    torch.set_num_threads(setting.threads)
    log_to_console()
    store = Store(setting.root, keep=setting.keep)
    try:
        job = values()
        job.record(store, job.replicates[0])  # describes the job, so that what can't be described is told first
    except (ValueError, TypeError, OSError, RuntimeError) as error:
        console.print(f"failed: {error}", style="red", markup=False)
        return 1
    if setting.plan:
        return _plan(job, store)
    try:
        jobs.status(job, store, "running")
        failures = _run(job, setting, store)
    except Interrupted:
        _end(job, store, "interrupted")
        _say(job, f"stopped. Everything up to here is saved under {store.root}; the same command goes on from here.")
        return 130
    except (ValueError, OSError, RuntimeError) as error:
        _end(job, store, "failed", f"{type(error).__name__}: {error}")
        notes = "".join(f" ({note})" for note in getattr(error, "__notes__", []))
        _say(job, f"failed: {error}{notes}", style="red")
        return 1
    except KeyboardInterrupt:
        _end(job, store, "interrupted")
        return 130
    except BaseException as error:
        _end(job, store, "failed", f"{type(error).__name__}: {error}")
        raise
    _finish(job, store, failures)
    if not setting.sweeping:
        report(setting.root, job.name)
        console.print(f"memory  {peak_memory():.2f} GB at most")
    return 1 if failures else 0


def report(root: Path, experiment: str) -> None:
    """The table of an experiment, its figures, and what to type next."""
    rows = table.tickets(root, experiment)
    if rows.empty:
        return
    console.print(f"\n{summary.markdown(rows)}\n", markup=False)
    for file in _draw(root, experiment):
        console.print(f"figure  {file}", markup=False)
    console.print(f"results {root}")
    lth = "lth" if shutil.which("lth") else f"{os.path.relpath(sys.executable)} -m lth"
    where = "" if str(root) == "runs" else f" --runs {root}"
    console.print(f"next    {lth} table{where} --format csv     every trained ticket as a row")
    console.print(
        f"        {lth} run ... -m replicate=1,2,3,4,5 hydra/launcher=joblib     more replicates, on all cores"
    )


def _run(job: Job, setting: Setting, store: Store) -> dict[int, str]:
    """Run the job; returns replicate -> error of those of which a training diverged."""
    live = console.is_terminal and not setting.sweeping
    name = f"{job.name}-{','.join(map(str, job.replicates))}"
    with setting.tracking(group=job.name, name=name, folder=setting.root, config=setting.config) as tracker:
        display = Display(console, len(job.places()), job.recipe.steps, live=live, tell=tracker.evaluated)

        def finished(trained: Trained) -> None:
            tracker.trained(trained)
            display.trained(trained)

        store.wait = display.check
        try:
            with interruptible(display), display:
                jobs.run(job, store, display, finished)
        except (ValueError, OSError, RuntimeError) as error:
            error.add_note(f"after {display.reached()}")
            raise
        tracker.figures({file.stem: file for file in _draw(setting.root, job.name) if file.suffix == ".png"})
    return display.failures


def _finish(job: Job, store: Store, failures: Mapping[int, str]) -> None:
    for replicate in job.replicates:
        one, error = replace(job, replicates=[replicate]), failures.get(replicate, "")
        jobs.status(one, store, "failed" if error else "finished", error)


def _end(job: Job, store: Store, status: str, error: str = "") -> None:
    with contextlib.suppress(OSError):  # the disk may be what failed
        jobs.status(job, store, status, error)


def _plan(job: Job, store: Store) -> int:
    """List what is stored and what would be trained."""
    done, places = {jobs.place(t.ticket) for t in jobs.stored(job, store)}, job.places()
    for place in places:
        task = f"to train, {job.recipe.steps:,} steps" if place.bits is None else "to quantize"
        variant = f"draw {place.draw}" if place.bits is None else f"bits {place.bits}"
        where = f"{place.branch:>12}  {variant}  replicate {place.replicate}  level {place.level:>2}"
        console.print(f"{where}  {'stored' if place in done else task}")
    console.print(f"{len(done)} stored, {len(places) - len(done)} to train; nothing was trained (plan=true)")
    return 0


def _draw(root: Path, experiment: str) -> list[Path]:
    """Draw the figures; what was trained is not lost because it can't be drawn."""
    try:
        return _drawn(root, experiment)
    except Exception as error:
        logging.getLogger("lth").warning("no figure could be drawn (%s: %s)", type(error).__name__, error)
        return []


def _drawn(root: Path, experiment: str) -> list[Path]:
    from lth.analysis import plot  # 30 MB that no training needs

    rows, folder = table.tickets(root, experiment), root / "figures" / experiment
    files = plot.save(plot.sparsity(rows, experiment), folder, "sparsity")
    evaluations, variants = table.evaluations(root, experiment), summary.variants(rows)
    for number, (variant, part) in enumerate(rows.groupby(variants, sort=False)):
        curves = evaluations[evaluations["digest"].isin(part["digest"])]
        figure = plot.curves(curves, part, title=f"{experiment}: {variant}" if variant else experiment)
        files += plot.save(figure, folder, f"curves-{number + 1}" if variant else "curves")
    return files


def _say(job: Job, message: str, style: str | None = None) -> None:
    which = ", ".join(map(str, job.replicates))
    console.print(f"{job.name}, replicate {which}: {message}", style=style, markup=False)
