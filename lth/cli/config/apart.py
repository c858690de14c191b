"""A job of a sweep in a process of its own, beside the worker of its launcher.

A launcher whose worker the system kills gives up all other jobs. So the worker stays small and waits; what takes the
memory, and is killed when there is none, is its child, which the jobs of a worker have in common. On Linux alone: macOS
can't safely fork a process that has threads; a killed worker there ends its sweep, and the same command continues it.
"""

import os
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from multiprocessing import Pipe, active_children
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from lth.cli import failure
from lth.cli.config.machine import worker
from lth.cli.ending import FAILED, INTERRUPTED, Ending
from lth.cli.handlers import NOTICES, handlers, hangups, ignore, in_slurm, leave_terminal, outlived

LOOK = 0.5  # seconds between two looks whether a process lives
PATIENCE = 25.0  # seconds to save what was computed, once it does not; schedulers kill after 30
SAVING = 60.0  # seconds that a launcher waits after Ctrl-C for its jobs to save; another Ctrl-C ends the wait

Job = Callable[[DictConfig], Ending]


class Killed(Exception):
    """The process of a job was killed; the words say by what."""


def is_worker() -> bool:
    """True in a process whose jobs are to be run apart: a worker of joblib's, where processes can be forked safely."""
    return sys.platform == "linux" and worker() is not None


def ended(job: Job, cfg: DictConfig) -> Ending:
    """Ending of a job that is run apart. Raises Killed."""
    end_with_parent()
    launcher, (pid, runner) = os.getppid(), _runner()
    # Signals reach the job too, which saves its progress.
    with handlers({signal.SIGINT: signal.SIG_IGN, **dict.fromkeys((signal.SIGTERM, *NOTICES, *hangups()), ignore)}):
        try:
            runner.send((job, cfg, OmegaConf.to_container(HydraConfig.instance().cfg)))  # plain, to be pickled
            found: Ending = runner.recv()
        except (EOFError, OSError):
            raise Killed(_how(_end(pid, runner))) from None
        # Take no other job while the launcher waits, which ends this process; in Slurm it waits for this one instead,
        # and kills the others once this one is back. Without a launcher nobody takes what the job returns.
        if found.code == INTERRUPTED:
            _end(pid, runner)
            until = time.monotonic() + SAVING
            while time.monotonic() < until and (not in_slurm() or _others_train()):
                if os.getppid() != launcher:
                    os._exit(INTERRUPTED)
                time.sleep(LOOK)
        return found


def _others_train() -> bool:
    """True while another worker of the same launcher has a process that runs a job."""
    parents = _parents()
    workers = {pid for pid, parent in parents.items() if parent == os.getppid()} - {os.getpid()}
    return not workers.isdisjoint(parents.values())


def _end(pid: int, runner: Connection) -> int:
    """End the process that runs jobs; returns its status."""
    _runner.cache_clear()
    runner.close()
    return os.waitpid(pid, 0)[1]


@contextmanager
def passed_on() -> Iterator[None]:
    """Pass SIGTERM, SIGHUP, SIGUSR1 and SIGUSR2, which reach a launcher alone if a person or Kubernetes sends them, on
    to the processes of its jobs. SIGHUP, and outside Slurm SIGTERM, end the launcher as Ctrl-C does, once its jobs have
    saved.
    """

    def pass_on(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGHUP:
            leave_terminal()
        for pid in _runners():
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        if number == signal.SIGHUP or (number == signal.SIGTERM and not in_slurm()):
            wait_for_jobs()
            raise KeyboardInterrupt

    with handlers(dict.fromkeys((signal.SIGTERM, *NOTICES, *hangups()), pass_on)):
        yield


def wait_for_jobs(patience: float = PATIENCE) -> None:
    """Return once the processes of all jobs of this launcher have ended, as they do when they have saved; after
    `patience` seconds anyway. Elsewhere than on Linux it is not seen when they have ended.
    """
    until = time.monotonic() + (patience if sys.platform == "linux" else PATIENCE)
    while _runners() and time.monotonic() < until:
        time.sleep(0.1)


def _runners() -> list[int]:
    """Processes that train for a launcher in this process: children of its workers, or else the workers."""
    workers = {child.pid for child in active_children()}
    if sys.platform != "linux":
        return sorted(pid for pid in workers if pid)
    return [pid for pid, parent in _parents().items() if parent in workers]


def _parents() -> dict[int, int]:
    """Every process of this machine -> its parent."""
    return {int(stat.parent.name): _parent(stat) for stat in Path("/proc").glob("[0-9]*/stat")}


def _parent(stat: Path) -> int:
    """The parent of a process, by its file in /proc; 0 if it has ended."""
    with suppress(OSError):
        state, parent = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[:2]
        return 0 if state == "Z" else int(parent)
    return 0


@cache
def end_with_parent() -> None:
    """End this process soon after its parent: at first by a signal, to its children too, after which a job saves."""
    threading.Thread(target=_watch, args=(os.getppid(),), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK)
    # Not SIGINT, which after a Ctrl-C would be the second; but in Slurm SIGTERM would not stop the job.
    for pid in (os.getpid(), *(child for child, its in _parents().items() if its == os.getpid())):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGINT if in_slurm() else signal.SIGTERM)
    time.sleep(PATIENCE)
    os._exit(1)


@cache
def _runner() -> tuple[int, Connection]:
    """A new process that runs jobs until the connection to it closes: its id, and the connection."""
    here, there = Pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of threads that are not forked: they are the launcher's
        pid = os.fork()
    if pid:
        there.close()
        return pid, here
    here.close()
    _serve(there)
    os._exit(0)


def _serve(connection: Connection) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    end_with_parent.cache_clear()  # the parent is another than that of the process that was forked
    end_with_parent()
    with suppress(EOFError, OSError, KeyboardInterrupt), outlived():
        while True:
            job, cfg, hydra = connection.recv()
            HydraConfig.instance().cfg = OmegaConf.create(hydra)
            connection.send(_guarded(job, cfg))


def _guarded(job: Job, cfg: DictConfig) -> Ending:
    """Ending of a job, whatever it raises."""
    try:
        return job(cfg)
    except KeyboardInterrupt:
        return Ending(INTERRUPTED)
    except BaseException as error:
        traceback.print_exc()
        return Ending(FAILED, failure.named(error))
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def _how(status: int) -> str:
    """The end of a process in words."""
    number = os.waitstatus_to_exitcode(status)
    if number >= 0:
        return f"its process ended with exit code {number}"
    why = ", as when memory runs out" if -number == signal.SIGKILL else ""
    return f"its process was killed by {signal.Signals(-number).name}{why}"
