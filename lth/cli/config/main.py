"""`lth run` from the command line to its exit code."""

import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from lth.cli.config.compose import check_all
from lth.cli.config.conf import CONF, plain
from lth.cli.config.values import instantiate, values
from lth.cli.config.words import after_groups, flags_first
from lth.store.file import make_folder

INTERRUPTED = 130


def main(arguments: Sequence[str]) -> int:
    """Run `lth run` with these arguments; returns the exit code."""
    asking = bool({"--help", "-h", "--hydra-help", "--version", "--info", "-i"} & set(arguments))
    first = None if asking else check_all(arguments)
    if first is not None:
        make_folder(Path(str(first.root)))
    sys.argv = ["lth run", *after_groups(flags_first(arguments))]
    sys.path.insert(0, str(Path.cwd()))  # so that mine.py in the working directory is found by _target_: mine.function
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # waiting threads of a neighbour must not spin
    codes: list[int] = []
    sweeping = bool({"-m", "--multirun"} & set(arguments))
    before = signal.signal(signal.SIGINT, _patient) if sweeping else signal.getsignal(signal.SIGINT)
    task = hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(lambda cfg: _job(cfg, codes))
    try:
        task()
    except SystemExit as end:
        codes.append(end.code if isinstance(end.code, int) else 1)
    except KeyboardInterrupt:
        print("lth run: stopped; the same command goes on from here", file=sys.stderr)
        return INTERRUPTED
    finally:
        signal.signal(signal.SIGINT, before)
    if first is not None and sweeping and not first.plan:
        _report(first)
    return max(codes, default=0)


def _patient(number: int, frame: FrameType | None) -> None:
    """Ctrl-C reaches the jobs of a sweep too; a launcher that hears of it kills them, so they get a second to save."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    time.sleep(1)
    raise KeyboardInterrupt


def _report(cfg: DictConfig) -> None:
    from lth.cli import run

    run.report(Path(str(cfg.root)), str(cfg.name))


class JobFailed(Exception):
    """Tells a launcher that a job of a sweep failed; the job has said why."""


def _job(cfg: DictConfig, codes: list[int]) -> None:
    """One job, in this process or in one of a launcher; a sweep goes on when it raises."""
    sweeping = HydraConfig.get().mode == RunMode.MULTIRUN
    if sys.stderr.isatty() and not sweeping:
        print("loading PyTorch and Lightning ...", end="\r", file=sys.stderr, flush=True)
    from lth.cli import run

    tracking = instantiate(cfg.tracking)
    root = Path(str(cfg.root))
    setting = run.Setting(root, tracking, plain(cfg), cfg.store.keep, cfg.threads, cfg.plan, sweeping)
    codes.append(run.run(lambda: values(cfg), setting))
    if sweeping and codes[-1] == INTERRUPTED:
        raise KeyboardInterrupt
    if sweeping and codes[-1]:
        raise JobFailed(f"replicate {cfg.replicate} of {cfg.name}: exit code {codes[-1]}")
