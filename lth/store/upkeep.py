"""Deletion of stored experiments, under the leases that trainings hold. Imports no PyTorch.

A training is needed as long as a record names it, whichever experiment the record is of; the states of interrupted
trainings, which no record names yet, are kept unless they are asked for.
"""

import contextlib
import re
import secrets
import shutil
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from lth import UserError
from lth.store.every import check_ended, every_record, own_and_all
from lth.store.exclusive import read
from lth.store.file import Corrupt
from lth.store.locks import BUSY, TRAINING_LEASE, holding, locked, saying
from lth.store.precision import forget
from lth.store.record import LEASE, listed, read_record
from lth.store.remains import tidy_experiment
from lth.store.result import is_complete
from lth.store.running import lease_of

DIGEST = re.compile(r"[0-9a-f]{20}")
GONE = ".gone-"  # begins the name of a folder that is being deleted
HELD = 100  # trainings whose leases are held at once


@dataclass(frozen=True)
class Plan:
    """Files of records and folders of trainings that are to go. failed: records too, of jobs that failed before they
    trained anything, as long as that is true. kept: trainings of the records that others need. partial: states of
    interrupted trainings among the trainings.
    """

    root: Path
    records: tuple[Path, ...] = ()
    failed: tuple[Path, ...] = ()
    trainings: tuple[Path, ...] = ()
    kept: int = 0
    partial: int = 0

    @property
    def size(self) -> int:
        """Bytes on the disk."""
        files = (file for folder in self.trainings for file in folder.rglob("*"))
        return sum(map(_size, (*self.records, *self.failed, *files)))


def _size(file: Path) -> int:
    """Bytes of a file; 0 of a folder, and of what a running training has deleted meanwhile."""
    try:
        found = file.lstat()
    except FileNotFoundError:
        return 0
    return found.st_size if stat.S_ISREG(found.st_mode) else 0


def deletion(root: Path, experiment: str, *, running: bool = False) -> Plan:
    """The records of an experiment, and the trainings that no other one needs. Raises UserError if nothing is stored,
    if a record can't be read, or, unless `running`, if a job of it has not ended.
    """
    own, every = own_and_all(root, experiment, "; lth gc --yes deletes what an interrupted deletion left")
    if not running:
        check_ended(experiment, own.values(), "; lth delete --running deletes it all the same")
    others = _named(record for file, record in every.items() if file not in own)
    gone = sorted(_named(own.values()) - others)
    folders = tuple(folder for digest in gone if (folder := root / "trained" / digest).is_dir())
    return Plan(root, tuple(own), trainings=folders, kept=len(_named(own.values()) & others))


def garbage(root: Path, *, partial: bool = False) -> Plan:
    """The trainings that no record names, and the records of jobs that failed before they trained anything; with
    `partial` the states of interrupted trainings too. Raises UserError if a record can't be read: then it is not known
    what it needs.
    """
    _check_own(root)
    records = every_record(root)
    failed = tuple(file for file, each in records.items() if _is_failed(each))
    needed = _named(records.values())
    stored = listed(root / "trained")
    orphans = [each for each in stored if DIGEST.fullmatch(each.name) and each.name not in needed]
    whole = [each for each in orphans if is_complete(each)]
    begun = [each for each in orphans if each not in whole]
    left = [each for each in stored if each.name.startswith(GONE)]  # by a deletion that was stopped
    return Plan(root, failed=failed, trainings=(*left, *whole, *(begun if partial else ())), partial=len(begun))


def _is_failed(record: Mapping[str, Any]) -> bool:
    """True for the record of a job that failed before it trained anything."""
    return record["status"] == "failed" and not record["rows"]


class Deleted(NamedTuple):
    """Numbers of records and trainings that were deleted, and of trainings that stay."""

    records: int
    trainings: int
    stay: int


def carry_out(plan: Plan) -> Deleted:
    """Delete what a plan names, the records first, except for trainings that another process is at, or that a record
    has come to name; then what killed processes left beside the records. Raises OSError, with nothing deleted, if a
    lease can't be read.
    """
    _check_own(plan.root)
    for record in (*plan.records, *plan.failed):
        read(lease_of(record))
        read(record.with_suffix(LEASE))
    for training in plan.trainings:
        read(training / TRAINING_LEASE)
    for file in plan.records:
        drop_record(file)
    failed = sum(_drop_failed(file) for file in plan.failed)
    parts = range(0, len(plan.trainings), HELD)
    gone = sum(_delete(plan.root, plan.trainings[start : start + HELD]) for start in parts)
    for folder in filter(Path.is_dir, listed(plan.root / "experiments")):
        tidy_experiment(folder)
    return Deleted(len(plan.records) + failed, gone, len(plan.trainings) - gone)


def _drop_failed(file: Path) -> bool:
    """Delete the record of a failed job; returns False if there is none by now, as when it was started again."""
    failed = False
    with locked(file.with_suffix(LEASE), saying(BUSY)), contextlib.suppress(Corrupt):
        if failed := _is_failed(read_record(file)):
            _unlink(file)
    forget(file.parent)
    return failed


def _delete(root: Path, trainings: Sequence[Path]) -> int:
    """Delete those that no process is at and no record names; returns their number.

    A folder gets another name before the records are read: a job that found a training in the store names it in its
    record, and then looks whether it is still there. So one of the two sees the other.
    """
    with holding(trainings) as folders:
        moved = {folder: folder.rename(_gone(folder)) for folder in folders}
        needed = {*moved}
        try:
            named = _named(every_record(root).values())
            needed = {folder for folder in moved if folder.name in named}
        finally:
            for folder in needed:
                with contextlib.suppress(OSError):  # it is being trained again by now
                    moved[folder].rename(folder)
    for aside in moved.values():
        if aside.exists():
            shutil.rmtree(aside)
    return len(moved.keys() - needed)


def _gone(folder: Path) -> Path:
    """The name of a folder that is being deleted."""
    return folder.with_name(f"{GONE}{folder.name.removeprefix(GONE)[:20]}-{secrets.token_hex(4)}")


def drop_record(file: Path, first: Callable[[], None] = lambda: None) -> None:
    """Delete a record, and the folder after the last one. first: called before, while no other process writes it."""
    with locked(file.with_suffix(LEASE), saying(BUSY)):
        first()
        _unlink(file)
    forget(file.parent)


def _unlink(file: Path) -> None:
    file.unlink(missing_ok=True)
    lease_of(file).unlink(missing_ok=True)  # of a job that was killed


def _named(records: Iterable[Mapping[str, Any]]) -> set[str]:
    """The digests that records name."""
    return {str(row.get("digest")) for record in records for row in record["rows"].values()}


def _check_own(root: Path) -> None:
    """Raise UserError if the trainings may be those of another store too."""
    if (root / "trained").is_symlink():
        raise UserError(f"{root / 'trained'} is a link: other stores may need what lies there", code=1)
    if (records := root / "experiments").is_symlink() and not records.exists():
        raise UserError(f"{records} is a link to nothing: what its records need is not known", code=1)
