"""Leases of running jobs: while a process runs a job, others see where, since when, and what it waits for.

The lease lies beside the record, as root/experiments/<experiment>/<job>.running.lease. It keeps no process from running
the same job too. Imports no PyTorch.
"""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from lth.store.file import make_folder
from lth.store.lease import Lease, take

_own: dict[Path, Lease | None] = {}  # by absolute path, since a process may change its folder; None: another holds it


def lease_of(record: Path) -> Path:
    """Path of the lease of the job with this record."""
    return record.with_suffix(".running.lease")


def begin(record: Path) -> None:
    """Hold the lease of a job from now on, unless another process does. Raises OSError."""
    path = lease_of(record).absolute()
    make_folder(path.parent)
    if (own := _own.get(path)) is None or not own.is_own():
        _own[path] = take(path)


def keep(record: Path) -> None:
    """Take over the lease of a job that was begun if the other process is dead by now. Raises OSError."""
    if lease_of(record).absolute() in _own:
        begin(record)


def is_held(record: Path) -> bool:
    """True if this process holds the lease of a job."""
    own = _own.get(lease_of(record).absolute())
    return own is not None and own.is_own()


def end(record: Path) -> None:
    """Release the lease of a job, if this process holds it."""
    if own := _own.pop(lease_of(record).absolute(), None):
        own.release()


@contextlib.contextmanager
def waiting_for(entries: Iterable[Path]) -> Iterator[None]:
    """Let others see that the jobs of this process wait for trainings that another one holds."""
    names = [entry.name for entry in entries][:10]
    _note(names)
    try:
        yield
    finally:
        _note([])


def _note(names: list[str]) -> None:
    for own in filter(None, _own.values()):
        own.note(waits_for=names)
