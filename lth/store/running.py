"""Leases of running jobs: while a process runs a job, others see where, since when, and what it waits for.

The lease lies beside the record, as root/experiments/<experiment>/<job>.running.lease. It keeps no process from running
the same job too. Imports no PyTorch.
"""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from lth.store.file import make_folder
from lth.store.lease import Lease, take

_own: dict[Path, Lease] = {}


def lease_of(record: Path) -> Path:
    """Path of the lease of the job with this record."""
    return record.with_suffix(".running.lease")


def begin(record: Path) -> None:
    """Hold the lease of a job, unless another process does. Called again, it takes over that of a dead one."""
    path = lease_of(record)
    if path in _own and _own[path].is_own():
        return
    make_folder(path.parent)
    if own := take(path):
        _own[path] = own


def end(record: Path) -> None:
    """Release the lease of a job, if this process holds it."""
    if own := _own.pop(lease_of(record), None):
        own.release()


@contextlib.contextmanager
def waiting_for(entries: Iterable[Path]) -> Iterator[None]:
    """Let others see that the jobs of this process wait for trainings that another one holds."""
    names = [entry.name for entry in entries][:10]
    for own in _own.values():
        own.note(waits_for=names)
    try:
        yield
    finally:
        for own in _own.values():
            own.note(waits_for=[])
