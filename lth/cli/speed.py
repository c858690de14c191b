"""`lth speed`: what a step costs, beside named baselines measured in the same run."""

import argparse
import subprocess
import sys
import tempfile
import time

from lth.store.environment import commit, machine

IMPORTS = "import torch, torchvision, pytorch_lightning, hydra, wandb, pandas, matplotlib"


def main(chosen: argparse.Namespace) -> int:
    """Measure, print, return the exit code 0."""
    from lth.engine.benchmark import measure

    print(f"{machine()}; commit {commit()}; one thread; LeNet-300-100, batch 60, 21% of the weights\n")
    times = measure()
    engine = times["lth engine"]
    for name, milliseconds in times.items():
        print(f"{name:<52}{milliseconds:6.3f} ms/step   engine takes {engine / milliseconds:.2f} x")
    with tempfile.TemporaryDirectory() as folder:
        bare = min(_seconds("-c", f"{IMPORTS}; print('done')") for _ in range(3))
        roots = (f"root={folder}/{i}" for i in range(3))
        first = min(_seconds("-m", "lth", "run", "steps=1", "levels=0", root) for root in roots)
    print(f"\n{'bare imports':<52}{bare:6.2f} s\n{'lth run, to the end of its first step':<52}{first:6.2f} s", end="")
    print(f"   {first - bare:+.2f} s over the imports")
    _convolutions()
    return 0


def _convolutions() -> None:
    from lth.engine.throughput import measure

    rates, augmentation = measure()
    plain = next(iter(rates.values()))
    print("\nConv-2 in training, batch 60\n")
    for name, rate in rates.items():
        print(f"{name:<52}{rate:6.0f} images/s   {rate / plain:.2f} x the plain loop")
    print(f"{'augmentation (flip_crop), share of the fastest step':<52}{augmentation:6.1%}")


def _seconds(*arguments: str) -> float:
    """Until a Python process with these arguments has printed its first line."""
    begun = time.perf_counter()
    command = [sys.executable, "-u", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        seconds = time.perf_counter() - begun
        process.communicate()
    return seconds
