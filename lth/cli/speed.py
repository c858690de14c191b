"""`lth speed`: CPU time of a training step, compared with named baselines measured in the same run."""

import argparse
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from itertools import count

from lth.store.environment import commit, machine

IMPORTS = "import torch, torchvision, pytorch_lightning, hydra, wandb, pandas, matplotlib; print('done')"


def main(arguments: argparse.Namespace) -> int:
    """Measure and print; returns the exit code 0."""
    if arguments.store:
        _growth()
        return 0
    if arguments.device == "cuda":
        _stacks()
        return 0
    _steps()
    _start()
    _convolutions()
    return 0


def _steps() -> None:
    from lth.engine.benchmark import BARE, measure

    print(f"{machine()}; commit {commit()}; one thread; CPU time; LeNet-300-100, batch 60, 21% of the weights\n")
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
