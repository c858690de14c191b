"""`lth run`: from the command line to its exit code."""

import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from lth import UserError
from lth.cli.config.compose import validated
from lth.cli.config.conf import CONF, plain
from lth.cli.config.overrides import flags_first, split_flags, swept_with_groups
from lth.cli.config.values import instantiate, values
from lth.store.file import make_folder

INTERRUPTED = 130
HELP = {"--help", "-h", "--hydra-help", "--version", "--info", "-i"}


def main(arguments: Sequence[str]) -> int:
    """Run `lth run` with these arguments; returns the exit code."""
    arguments = split_flags(arguments)
    first = None if HELP & set(arguments) else validated(arguments)
    if first is not None and not first.plan:
        make_folder(Path(str(first.root)))
    sys.argv = ["lth run", *swept_with_groups(flags_first(arguments))]
    sys.path.insert(0, str(Path.cwd()))  # so that _target_: mine.function finds mine.py in the working directory
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # waiting threads must not take a neighbor's core
    sweeping = bool({"-m", "--multirun"} & set(arguments))
    with _folder_of_hydra(planning=first is not None and bool(first.plan)) as folder:
        sys.argv += folder
        code = _run(sweeping)
    if first is not None and sweeping and not first.plan:
        _report(first)
    return code


def _run(sweeping: bool) -> int:
    """Hand sys.argv to Hydra; returns the highest exit code of its jobs."""
    codes: list[int] = []
    task = hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(lambda cfg: _job(cfg, codes))
    try:
        with _delayed_interrupt(sweeping):
            task()
    except SystemExit as end:
        codes.append(end.code if isinstance(end.code, int) else 1)
    except KeyboardInterrupt:
        raise UserError("stopped; the same command continues from here", code=INTERRUPTED) from None
    return max(codes, default=0)


@contextmanager
def _folder_of_hydra(*, planning: bool) -> Iterator[list[str]]:
    """Overrides that keep the files of Hydra out of the store while a plan is made, which only looks."""
    if not planning:
        yield []
        return
    with tempfile.TemporaryDirectory() as folder:
        yield [f"hydra.run.dir={folder}", f"hydra.sweep.dir={folder}"]


@contextmanager
def _delayed_interrupt(sweeping: bool) -> Iterator[None]:
    """Give the jobs of a sweep, which Ctrl-C reaches too, a second to save before their launcher kills them."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        time.sleep(1)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, interrupt) if sweeping else signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _report(cfg: DictConfig) -> None:
    from lth.cli.results import Results, show

    show(Results(Path(str(cfg.root)), str(cfg.name)))


class JobFailed(Exception):
    """Tells a launcher that a job of a sweep failed; the job has printed why."""


def _job(cfg: DictConfig, codes: list[int]) -> None:
    """Run one job, in this process or in one of a launcher. Raises in a sweep if the job failed; the sweep goes on."""
    sweeping = HydraConfig.get().mode == RunMode.MULTIRUN
    if sys.stderr.isatty() and not sweeping:
        print("loading PyTorch and Lightning ...", end="\r", file=sys.stderr, flush=True)
    from lth.cli import run

    tracking, root = instantiate(cfg.tracking), Path(str(cfg.root))
    setting = run.Setting(root, tracking, plain(cfg), cfg.store.keep, cfg.threads, cfg.plan, sweeping)
    code = run.run(lambda: values(cfg), setting)
    codes.append(code)
    if sweeping and code == INTERRUPTED:
        raise KeyboardInterrupt
    if sweeping and code:
        raise JobFailed(f"replicate {cfg.replicate} of {cfg.name}: exit code {code}")
