"""A sweep and its launcher: jobs that fail, and workers that are killed, take no other job with them."""

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from hydra.core.plugins import Plugins

# The launcher of the plugin for Slurm, in whose place `lth.cli.config.slurm.Launcher` is used.
SLURM = "hydra_plugins.hydra_submitit_launcher.submitit_launcher.SlurmLauncher"
RESTARTS = 3  # of a sweep whose launcher lost its workers


class JobFailed(Exception):
    """Tells a launcher that a job of a sweep failed; the job has printed why."""


def launch(task: Callable[[], None], codes: list[int]) -> None:
    """Run a task, and again if its launcher gave up since one of its workers was killed: what is stored is not redone,
    what was begun goes on.
    """
    for _ in range(RESTARTS):
        try:
            return task()
        except BrokenProcessPool:
            codes.append(1)
            print("lth run: a worker of the launcher was killed; starting the other jobs again", file=sys.stderr)
    return task()


def wait_in_slurm(file: str) -> None:
    """Let the launcher of Slurm, if it is installed, wait for all jobs, and add those that failed to the file."""
    known = Plugins.instance().class_name_to_class
    if SLURM in known:
        from lth.cli.config.slurm import Launcher

        Launcher.note = partial(note, file)
        known[SLURM] = Launcher


@contextmanager
def failures() -> Iterator[str]:
    """A file to which jobs add a line if they can't say why they failed; in the end it is printed."""
    with tempfile.TemporaryDirectory() as folder:
        (file := Path(folder) / "failed").touch()
        try:
            yield str(file)
        except (JobFailed, BrokenProcessPool):
            print("lth run: not all jobs of the sweep finished; those that failed said why, the others are stored",
                  file=sys.stderr)  # fmt: skip
            print(end=file.read_text(encoding="utf-8"), file=sys.stderr)
            raise


def note(file: str, line: str) -> None:
    """Add a line to a file of the process that started this one, unless that is on another machine."""
    with suppress(OSError), open(file, "r+", encoding="utf-8") as lines:
        lines.seek(0, os.SEEK_END)
        lines.write(f"{line}\n")
