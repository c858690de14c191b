"""Locks of stored trainings: of several processes that want the same one, a single one trains it."""

import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from lth.store.file import make_folder

log = logging.getLogger("lth")
POLL = 0.2  # seconds between two looks at a lock of another process


@contextlib.contextmanager
def claimed(entries: Iterable[Path], wait: Callable[[], None]) -> Iterator[dict[Path, FileLock]]:
    """Lock as many of the entries as no other process holds; until there is at least one, call `wait` again and again.

    Nothing is waited for while a lock is held, so processes that want the same entries can't block each other.
    """
    wanted = list(dict.fromkeys(entries))
    with contextlib.ExitStack() as stack:
        locks = _free(wanted, stack)
        if not locks:
            wait()  # which may raise; nobody waits then
            log.info("another process is training %s: waiting for it", ", ".join(entry.name for entry in wanted))
        while not locks:
            wait()
            time.sleep(POLL)
            locks = _free(wanted, stack)
        yield locks


@contextlib.contextmanager
def locked(file: Path, wait: Callable[[], None]) -> Iterator[None]:
    """Hold the lock of this file; while another process holds it, call `wait`, which may raise, again and again."""
    lock = FileLock(file)
    while True:
        with contextlib.suppress(Timeout):
            lock.acquire(timeout=0)
            break
        wait()
        time.sleep(POLL / 10)
    try:
        yield
    finally:
        lock.release()


def _free(entries: Iterable[Path], stack: contextlib.ExitStack) -> dict[Path, FileLock]:
    locks = {}
    for entry in entries:
        make_folder(entry)
        lock = FileLock(entry / "lock")
        with contextlib.suppress(Timeout):
            lock.acquire(timeout=0)
            stack.callback(lock.release)
            locks[entry] = lock
    return locks
