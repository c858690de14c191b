"""`lth speed`: CPU time of a training step, compared with named baselines measured in the same run."""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from lth.store.environment import commit, machine

if TYPE_CHECKING:
    import pandas as pd

IMPORTS = "import torch, torchvision, pytorch_lightning, hydra, wandb, pandas, matplotlib; print('done')"


def main(arguments: argparse.Namespace) -> int:
    """Measure and print; returns the exit code 0."""
    tables: dict[str, Callable[[], None]] = {
        "store": _growth,
        "ladder": _ladder,
        "densities": partial(_densities, arguments.out),
    }
    if chosen := [table for name, table in tables.items() if getattr(arguments, name)]:
        for table in chosen:
            table()
        return 0
    if arguments.device == "cuda":
        _stacks()
        return 0
    _steps()
    _first_call()
    _start()
    _convolutions()
    return 0


def _steps() -> None:
    from lth.engine.benchmark import BARE, measure

    print(f"{machine()}; commit {commit()}; one thread; CPU time; LeNet-300-100, batch 60\n")
    times = measure()
    for name, milliseconds in times.items():
        print(f"{name:<52}{milliseconds:6.3f} ms/step   {milliseconds / times[BARE]:.2f} x the bare loop")


def _stacks() -> None:
    """The table of stacks, as markdown, row by row as they are measured."""
    from lth.engine import stack_benchmark

    device = stack_benchmark.cuda()
    print(f"Stacks on {device.name}, {machine()}; PyTorch {device.torch}; commit {commit()}\n")
    print("steps/s: of all tickets of a stack together. Evaluation: of all of them, on 15,000 images. Captured: as one")
    print("CUDA graph. The plain loops have one ticket, and images that are scaled already.\n")
    for line in stack_benchmark.lines(stack_benchmark.measure(device.device)):
        print(line, flush=True)


def _growth() -> None:
    """The table of commands against the rows of a store, as markdown."""
    from lth.cli import growth

    print(f"{machine()}; commit {commit()}; CPU seconds and peak memory of each command, all trainings stored\n")
    print(*growth.lines(), sep="\n")


def _ladder() -> None:
    """The table of a ladder, level by level as they are measured, as markdown."""
    from lth.engine import ladder

    print(f"{machine()}; commit {commit()}; load {os.getloadavg()[0]:.1f}; one thread; CPU seconds\n")
    print(
        f"LeNet-300-100, {ladder.STEPS:,} steps a level, evaluation every {ladder.EVERY}; bare: a plain PyTorch loop\n"
    )
    print("| level | % of weights | kernel | lth | bare | bare / lth |\n|---|---|---|---|---|---|")
    levels = []
    for each in ladder.measure():
        levels.append(each)
        print(f"| {each.level} | {each.kept:.2%} | {each.kernel} | {each.lth:.2f} | {each.bare:.2f} "
              f"| {each.bare / each.lth:.1f} |", flush=True)  # fmt: skip
    own, bare = (sum(getattr(each, name) for each in levels) for name in ("lth", "bare"))
    print(f"| all | | | {own:.1f} | {bare:.1f} | {bare / own:.2f} |")


def _densities(out: Path | None) -> None:
    """The table of ways to compute a net, and with --out its files and figure."""
    from lth.analysis import plot
    from lth.compress.tables import where, write
    from lth.engine import densities

    table = densities.measure().assign(**where())
    text = "\n".join([
        f"LeNet-300-100, batch 60, Adam, one thread, CPU time; {machine()}; commit {commit()}; "
        f"load {os.getloadavg()[0]:.1f}; medians of 5 rounds", "", "Milliseconds of a training step", "",
        *_by_method(table, "training_ms"), "", "Milliseconds of 1,000 images", "", *_by_method(table, "inference_ms"),
    ])  # fmt: skip
    print(text)
    if out is not None:
        files = write(table, text, out, "sparse_training")
        for file in [*files, *plot.save(plot.times(table), out, "sparse_training")]:
            print(file)


def _by_method(table: "pd.DataFrame", column: str) -> list[str]:
    """Markdown: a row for each method, a column for each density."""
    wide = table.pivot_table(index="method", columns="kept", values=column, sort=False)
    head = ["| way | " + " | ".join(f"{kept:.1%}" for kept in wide) + " |", "|---" * (1 + len(wide.columns)) + "|"]
    return head + [f"| {name} | " + " | ".join(f"{value:.3f}" for value in row) + " |" for name, row in
                   zip(wide.index, wide.to_numpy(), strict=True)]  # fmt: skip


def _first_call() -> None:
    """CPU seconds of the first training by the sparse kernel, compiled and from the cache on the disk."""
    code = "from lth.engine.benchmark import first_call; print(first_call())"
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "NUMBA_CACHE_DIR": folder}
        cold, warm = (
            float(subprocess.check_output([sys.executable, "-c", code], env=environment, encoding="utf-8"))
            for _ in range(2)
        )
    print(f"\n{'first training by the sparse kernel, once per machine':<52}{cold:6.2f} s")
    print(f"{'first training of a process':<52}{warm:6.2f} s")


def _start() -> None:
    from lth.engine.timing import in_turn

    with tempfile.TemporaryDirectory() as folder:
        roots = (f"root={folder}/{number}" for number in count())
        calls: dict[str, Callable[[], None]] = {
            "imports": partial(_first_line, "-c", IMPORTS),
            "run": lambda: _first_line("-m", "lth", "run", "steps=1", "levels=0", next(roots)),
        }
        seconds = in_turn(calls, 3, clock=_children)
    imports, first = seconds["imports"], seconds["run"]
    print(
        f"\n{'bare imports':<52}{imports:6.2f} s\n{'lth run, to the end of its first step':<52}{first:6.2f} s", end=""
    )
    print(f"   {first - imports:+.2f} s over the imports")


def _convolutions() -> None:
    from lth.engine.throughput import PLAIN, measure

    rates, augmentation = measure()
    print("\nConv-2 in training, batch 60\n")
    for name, rate in rates.items():
        print(f"{name:<52}{rate:6.0f} images/s   {rate / rates[PLAIN]:.2f} x the plain loop")
    print(f"{'augmentation (flip_crop), share of the fastest step':<52}{augmentation:6.1%}")


def _first_line(*arguments: str) -> None:
    """Run Python with these arguments until it prints its first line."""
    command = [sys.executable, "-u", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()


def _children() -> float:
    """CPU seconds of all child processes that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
