"""`lth speed`: CPU time of a training step, compared with named baselines measured in the same run."""

import argparse
import contextlib
import io
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from lth import UserError
from lth.store.environment import commit, load, machine
from lth.store.file import OTHER_OUT, make_folder

if TYPE_CHECKING:
    import pandas as pd

IMPORTS = "import torch, torchvision, pytorch_lightning, hydra, wandb, pandas, matplotlib; print('done')"


def main(arguments: argparse.Namespace) -> int:
    """Measure and print, and with --out write what is printed to speed.md; returns the exit code 0."""
    tables: dict[str, Sequence[Callable[[], None]]] = {
        "steps": (_steps, _first_call, _start, _convolutions),
        "ladder": (_ladder,),
        "densities": (partial(_densities, arguments.out),),
        "store": (_growth,),
        "stacks": (_stacks,),
    }
    usual = "stacks" if arguments.device == "cuda" else "steps"
    chosen = [name for name in ("ladder", "densities", "store") if getattr(arguments, name) or arguments.all]
    names = [usual, *chosen] if arguments.all or not chosen else chosen
    if arguments.out:
        make_folder(arguments.out, OTHER_OUT)  # before what takes long
    printed = io.StringIO()
    with contextlib.redirect_stdout(_Both(sys.stdout, printed)) if arguments.out else contextlib.nullcontext():
        print(f"{_where()}\n")
        for measure in (each for name in names for each in tables[name]):
            measure()
    if arguments.out:
        from lth.analysis import committed

        committed.write(arguments.out, {"speed.md": printed.getvalue()})
    return 0


def _where() -> str:
    return f"{machine()}; commit {commit()}; {load()}; one thread, CPU time"


class _Both(io.TextIOBase):
    """A stream that is two."""

    def __init__(self, *streams: TextIO) -> None:
        self.streams = streams

    def write(self, text: str) -> int:
        for stream in self.streams:
            stream.write(text)
        return len(text)

    def flush(self) -> None:
        self.streams[0].flush()


def _steps() -> None:
    from lth.engine.benchmark import BARE, measure

    times = measure()
    print("## A step of LeNet-300-100, batch 60\n\n| loop | ms | x the bare loop |\n|---|---|---|")
    for name, milliseconds in times.items():
        print(f"| {name} | {milliseconds:.3f} | {milliseconds / times[BARE]:.2f} |")


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

    print("\n## Commands against the rows of a store: CPU seconds and peak memory, all trainings stored\n")
    print(*growth.lines(), sep="\n")


def _ladder() -> None:
    """The table of a ladder, level by level as they are measured, as markdown."""
    from lth.engine import ladder

    print("\n## A ladder of LeNet-300-100: CPU seconds a level\n")
    print(f"{ladder.STEPS:,} steps, evaluation every {ladder.EVERY}; bare: a plain loop of PyTorch\n")
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
        f"LeNet-300-100, batch 60, Adam; {_where()}; medians of 5 rounds", "",
        "Milliseconds of a training step, by share of the weights", "", *_by_method(table, "training_ms"), "",
        "Milliseconds of 1,000 images", "", *_by_method(table, "inference_ms"),
    ])  # fmt: skip
    print(f"\n## Ways to compute a sparse net\n\n{text}")
    if out is not None:
        write(table, text, out, "sparse_training")
        plot.save(plot.times(table), out, "sparse_training")


def _by_method(table: "pd.DataFrame", column: str) -> list[str]:
    """Table in Markdown: a row for each method, a column for each density."""
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
    print("\n## Starting\n\n| what | CPU s |\n|---|---|")
    print(f"| first training by the sparse kernel, compiled once per machine | {cold:.2f} |")
    print(f"| the same in every later process | {warm:.2f} |")


def _start() -> None:
    from lth.engine.timing import in_turn

    with tempfile.TemporaryDirectory() as folder:
        roots = (f"root={folder}/{number}" for number in count())
        calls: dict[str, Callable[[], None]] = {
            "imports": partial(_run_until, "done", "-c", IMPORTS),
            "run": lambda: _run_until("[1/1] ticket", "-m", "lth", "run", "steps=1", "levels=0", next(roots)),
        }
        seconds = in_turn(calls, 3, clock=_children)
    imports, first = seconds["imports"], seconds["run"]
    print(f"| bare imports of PyTorch, torchvision, Lightning, Hydra, wandb, pandas, matplotlib | {imports:.2f} |")
    print(f"| lth run, to the end of its first step | {first:.2f} |")


def _convolutions() -> None:
    from lth.engine.throughput import PLAIN, measure

    rates, augmentation = measure()
    print("\n## Conv-2 in training, batch 60\n\n| loop | images/s | x the plain loop |\n|---|---|---|")
    for name, rate in rates.items():
        print(f"| {name} | {rate:.0f} | {rate / rates[PLAIN]:.2f} |")
    print(f"\nAugmentation (flip_crop) takes {augmentation:.1%} of the fastest step.")


def _run_until(words: str, *arguments: str) -> None:
    """Run Python with these arguments until it prints a line that begins with these words."""
    command = [sys.executable, "-u", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, encoding="utf-8") as process:
        assert process.stdout is not None
        found = any(line.startswith(words) for line in process.stdout)
        process.kill()
    if not found:
        raise UserError(f"{' '.join(command)} ended without a line that begins with {words!r}: run it to see why")


def _children() -> float:
    """CPU seconds of all child processes that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
