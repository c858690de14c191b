"""Time and memory of commands against the number of rows in a store: nothing may grow faster than the rows.

The store is made up: trainings that took no step, written by the store's own writer, five rows for each of many
replicates of two learning rates in one experiment. So `lth run` finds all of it stored.
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lth.analysis.markdown import aligned
from lth.cli import config
from lth.job import Job, status
from lth.job.levels import execute
from lth.job.row import row
from lth.recipe import Recipe
from lth.store import Store
from lth.ticket import Ticket, Trained, masked

SIZES = (500, 1000, 2000, 5000)
RATES = (0.001, 0.002)
LEVELS, EVALUATIONS = 4, 11
NAME = "frankle2019_fig4"  # an experiment whose figure can be drawn
NET = ["model=mlp", "model.hidden=[8]", "data=mnist_5k", f"levels={LEVELS}", "steps=100", "evaluate_every=10"]

# The command is started by a small process, since Linux counts the memory of the process that starts another as its.
MEASURES = """import os, subprocess, sys
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
print(os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime, usage.ru_maxrss)
"""


def lines(sizes: Sequence[int] = SIZES) -> Iterator[str]:
    """The table, as lines of markdown: CPU seconds, and GB at most, of each command for each number of rows."""
    with tempfile.TemporaryDirectory() as folder:
        root, done, cells = Path(folder) / "runs", 0, dict[str, list[str]]()
        for size in sizes:
            replicates = range(1 + done, 1 + size // (len(RATES) * (LEVELS + 1)))
            fill(root, replicates)
            done = replicates.stop - 1
            for name, arguments in _commands(root, done).items():
                seconds, memory = _measured(arguments)
                cells.setdefault(name, []).append(f"{seconds:.1f} s, {memory:.2f} GB")
        yield from aligned([["", *(f"{size:,} rows" for size in sizes)], *([n, *c] for n, c in cells.items())]).split(
            "\n"
        )


def fill(root: Path, replicates: Iterable[int]) -> None:
    """Store made-up trainings of these replicates, each a job of its own."""
    ((job, _),) = config.jobs([*_overrides(root), f"optimizer.lr={RATES[0]}"])
    ((other, _),) = config.jobs([*_overrides(root), f"optimizer.lr={RATES[1]}"])
    for replicate in replicates:
        for each in (job, other):
            _store(replace(each, replicates=[replicate]), Store(root))


def _store(job: Job, store: Store) -> None:
    record = job.record(store, job.replicates[0])
    rows = dict[str, Any]()

    def train(tickets: list[Ticket], recipe: Recipe) -> list[Trained]:
        def finished(trained: Trained) -> None:
            rows[str(trained.ticket)] = row(job, recipe, trained)

        return store.cached(partial(made_up, recipe=recipe), recipe, finished)(tickets)

    execute(job, store, train, job.replicates)
    for each in rows.values():
        record.add(each)
    status(job, store, "finished")


def made_up(
    tickets: list[Ticket], *, recipe: Recipe, finished: Callable[[Trained], None], **unused: Any
) -> list[Trained]:
    """The tickets as if they had been trained: all weights as they were, losses from a formula."""
    return [_made_up(ticket, recipe, finished) for ticket in tickets]


def _made_up(ticket: Ticket, recipe: Recipe, finished: Callable[[Trained], None]) -> Trained:
    steps = np.linspace(0, recipe.steps, EVALUATIONS).astype("int64")
    losses = 1 / (1 + steps) + 0.01 * np.cos(steps + ticket.replicate + ticket.level)
    table = {name: losses if name.endswith("loss") else np.clip(1 - losses, 0, 1) for name in recipe.task.columns}
    evaluations = pd.DataFrame({**table, "step": steps})[list(recipe.task.columns)]
    usage = {"seconds": 1.0, "cpu_seconds": 1.0, "device": "cpu", "samples": 1, "evaluated": 1, "macs": 1}
    facts = {**usage, "macs_remaining": 1, "kept": [recipe.steps], f"final_train_{recipe.task.metric}": 0.5}
    weights = masked(ticket.weights, ticket.mask)
    trained = Trained(ticket, evaluations, lambda _: weights, recipe.steps, ticket.mask, facts)
    finished(trained)
    return trained


def _overrides(root: Path) -> list[str]:
    return [*NET, f"name={NAME}", f"root={config.quoted(str(root))}", "tracking=none"]


def _commands(root: Path, replicates: int) -> dict[str, list[str]]:
    """The commands by name. All of them find everything stored."""
    place = ["--runs", str(root), "--out"]
    run = [
        "run",
        *_overrides(root),
        f"optimizer.lr={RATES[0]}",
        f"replicate={[*range(1, replicates + 1)]}".replace(" ", ""),
    ]
    return {
        "lth run (half of the rows, all stored)": run,
        "lth run plan=true": [*run, "plan=true"],
        "lth table": ["table", *place, str(root.parent / "table")],
        "lth figure": ["figure", NAME, *place, str(root.parent / "figures")],
    }


def _measured(arguments: Sequence[str]) -> tuple[float, float]:
    """CPU seconds and peak memory in GB of a command, in a process of its own."""
    command = [sys.executable, "-c", MEASURES, sys.executable, "-m", "lth", *arguments]
    said = subprocess.run(command, stdout=subprocess.PIPE, text=True, encoding="utf-8", check=True).stdout
    code, seconds, memory = said.split()
    if code != "0":
        raise RuntimeError(f"lth {arguments[0]} ended with exit code {code}")
    return float(seconds), float(memory) * (1 if sys.platform == "darwin" else 1024) / 1e9
