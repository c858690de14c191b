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
from collections.abc import Callable
from functools import cache
from multiprocessing import Pipe
from multiprocessing.connection import Connection

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from lth.cli import failure
from lth.cli.config.machine import worker
from lth.cli.ending import Ending

LOOK = 0.5  # seconds between two looks whether the parent lives
PATIENCE = 10.0  # seconds to save what was computed, once it does not

Job = Callable[[DictConfig], Ending]


class Killed(Exception):
    """The process of a job was killed; the words say by what."""


def is_worker() -> bool:
    """True in a process whose jobs are to be run apart: a worker of joblib's, where processes can be forked safely."""
    return sys.platform == "linux" and worker() is not None


def ended(job: Job, cfg: DictConfig) -> Ending:
    """How a job ended that was run apart. Raises Killed."""
    end_with_parent()
    pid, runner = _runner()
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the job too, which saves its progress
    try:
        runner.send(
            (job, cfg, OmegaConf.to_container(HydraConfig.instance().cfg))
        )  # plain, since its types can't be pickled
        found: Ending = runner.recv()
        return found
    except (EOFError, OSError):
        _runner.cache_clear()
        runner.close()
        raise Killed(_how(os.waitpid(pid, 0)[1])) from None
    finally:
        signal.signal(signal.SIGINT, before)


@cache
def end_with_parent() -> None:
    """End this process soon after its parent: at first as with Ctrl-C, so that a job saves its progress."""
    threading.Thread(target=_watch, args=(os.getppid(),), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK)
    os.kill(os.getpid(), signal.SIGINT)
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
    while True:
        try:
            job, cfg, hydra = connection.recv()
            HydraConfig.instance().cfg = OmegaConf.create(hydra)
            connection.send(_guarded(job, cfg))
        except (EOFError, OSError, KeyboardInterrupt):
            return


def _guarded(job: Job, cfg: DictConfig) -> Ending:
    """How a job ended, whatever it raises."""
    try:
        return job(cfg)
    except KeyboardInterrupt:
        return Ending(130)
    except BaseException as error:
        traceback.print_exc()
        return Ending(1, failure.named(error))
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
