"""Waiting for leases: of several processes that want the same training, a single one trains it. Imports no PyTorch."""

import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from lth import UserError
from lth.store import lease
from lth.store.file import make_folder
from lth.store.lease import Lease, is_undecided, take
from lth.store.running import waiting_for

log = logging.getLogger("lth")
POLL = 0.02, 1.0  # seconds between two looks at a lease of another process: at first, and at most
LOOK = 1.0  # seconds between two looks at a lease whose owner may be dead
BUSY = "another process writes to this experiment: try again when it has ended"  # what `saying` says of one
TRAINING_LEASE = "lease"  # in the folder of the training
T = TypeVar("T")


@contextlib.contextmanager
def claimed(
    entries: Iterable[Path], wait: Callable[[], None], facts: Callable[[Path], Mapping[str, Any]] = lambda _: {}
) -> Iterator[dict[Path, Lease]]:
    """Hold the leases of as many entries as no other process does; until there is one, call `wait` again and again.

    Nothing is waited for while a lease is held, so processes that want the same entries can't block each other. facts:
    what is done with an entry, for others to see.
    """
    wanted, leases = list(dict.fromkeys(entries)), dict[Path, Lease]()

    def free() -> dict[Path, Lease]:
        for entry in wanted:
            make_folder(entry)
            if own := take(entry / TRAINING_LEASE, facts(entry)):
                stack.callback(own.release)
                leases[entry] = own
        return leases

    with contextlib.ExitStack() as stack:
        if not free():
            wait()  # which may raise; nobody waits then
            names = [str(facts(entry).get("ticket", entry.name)) for entry in wanted]
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            log.info("another process is training %s%s: waiting for it", "; ".join(names[:3]), more)
            with waiting_for(wanted):
                _until(free, wait)
        yield leases


@contextlib.contextmanager
def holding(folders: Iterable[Path]) -> Iterator[list[Path]]:
    """Hold the leases of those folders that no other process holds, once it is known which these are."""
    with contextlib.ExitStack() as stack:
        held, left = list[Path](), list(folders)
        while left:
            for folder in left:
                if own := take(folder / TRAINING_LEASE):
                    stack.callback(own.release)
                    held.append(folder)
            left = [folder for folder in left if folder not in held and is_undecided(folder / TRAINING_LEASE)]
            time.sleep(LOOK if left else 0)
        yield held


@contextlib.contextmanager
def locked(file: Path, wait: Callable[[], None]) -> Iterator[None]:
    """Hold the lease at this path; while another process does, call `wait`, which may raise, again and again."""

    def free() -> Lease | None:
        make_folder(file.parent)
        return take(file)

    own = free() or _until(free, wait)
    try:
        yield
    finally:
        own.release()


def saying(message: str) -> Callable[[], None]:
    """A `wait` that raises UserError when the lease would have been taken over if its owner were dead."""
    return until(lease.PATIENCE + lease.BEAT, UserError(message, code=1))


def until(seconds: float, error: Exception, wait: Callable[[], None] = lambda: None) -> Callable[[], None]:
    """`wait`, which raises the error after `seconds`."""
    begun = time.monotonic()

    def waiting() -> None:
        wait()
        if time.monotonic() - begun >= seconds:
            raise error

    return waiting


def _until(free: Callable[[], T | None], wait: Callable[[], None]) -> T:
    """The first result that is not empty."""
    pause, most = POLL
    while True:
        wait()
        time.sleep(pause)
        if found := free():
            return found
        pause = min(1.5 * pause, most)
