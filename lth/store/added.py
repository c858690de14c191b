"""Trainings and records from elsewhere, added to a store; what is there stays as it is. Imports no PyTorch."""

import errno
import logging
import os
from pathlib import Path
from typing import Any

from lth import UserError
from lth.file import ASIDE, sweep
from lth.store.arrays import read_arrays
from lth.store.file import Corrupt, Missing, Name, Newer, make_folder, write_json
from lth.store.locks import BUSY, TRAINING_LEASE, claimed, locked, saying
from lth.store.record import LEASE, listed, read_record
from lth.store.remains import tidy
from lth.store.result import is_complete, read_result
from lth.store.stale import merged

# Errors of files that never become readable; after others they may in a moment, or by another user.
LOST = {None, errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EFBIG}
log = logging.getLogger("lth")


def put(entry: Path, target: Path) -> bool:
    """Move a training into the store; False if it is there. What was left of an interrupted or damaged one goes, its
    weights too: they need not be those of the result that is moved here, which may be of another machine.
    """
    if _damage(target) is None:
        tidy(target)
        return False
    with claimed([target], saying(BUSY)):
        sweep(target)
        if (damage := _damage(target)) is None:
            return False
        if is_complete(target):
            log.warning("%s; it is replaced", damage)
        for part in sorted(listed(target), key=_is_result, reverse=True):
            if part.name != TRAINING_LEASE and not part.is_dir() and not ASIDE.fullmatch(part.name):
                part.unlink(missing_ok=True)
        for part in sorted(listed(entry), key=_is_result):
            os.replace(part, target / part.name)
    return True


def add(record: dict[str, Any], target: Path) -> None:
    """Write a record, as interrupted until `settle`, or add its rows to the one that is there, which stays as it is
    otherwise. Without its overrides: they may name any function, and whoever packed the file could have it called here.
    """
    make_folder(target.parent)
    with locked(target.with_suffix(LEASE), saying(BUSY)):
        there: dict[str, Any] = read_record(target) if target.exists() else {"status": "interrupted"}
        known = {key: value for key, value in record.items() if key != "overrides"}
        write_json(target, {**known, **there, "rows": merged(record["rows"], there.get("rows", {}))})


def settle(record: dict[str, Any], target: Path) -> None:
    """Give a record whose trainings were added the status it had elsewhere, unless more was planned here or less."""
    with locked(target.with_suffix(LEASE), saying(BUSY)):
        there = read_record(target)
        if there["status"] == "interrupted" and there.get("planned") == record.get("planned"):
            write_json(target, {**there, "status": _at_rest(record["status"])})


def is_whole(entry: Path) -> bool:
    """True if a training is there; False if it is not, or not finished. Raises Corrupt, also if a mask of it is."""
    try:
        read_result(entry)
    except Missing:
        return False
    check_masks(entry)
    return True


def check_masks(entry: Path) -> None:
    """Raise Corrupt unless the mask of a training is there, and all masks made from it are what they should be."""
    read_arrays(entry / "mask.safetensors", Name(entry.name, "mask"))
    for part in entry.glob("pruned-*.safetensors"):
        read_arrays(part, Name(entry.name, "pruned", part.stem.removeprefix("pruned-")))


def _damage(entry: Path) -> Corrupt | None:
    """Error that says why a training is not there; None if it is there and can be read, if only by a newer version.
    Raises UserError if the disk does not let it be read.
    """
    try:
        read_result(entry)
        check_masks(entry)
    except Newer:
        return None
    except Corrupt as error:
        if getattr(error.__cause__, "errno", None) not in LOST:
            raise UserError(f"{error}: run the same command again, or move it away", code=1) from error
        return error
    return None


def _is_result(file: Path) -> bool:
    """True for the file that makes a training complete, which is the first to go and the last to come."""
    return file.name == "result.json"


def _at_rest(status: str) -> str:
    """Status of a job that may run elsewhere, and does not here."""
    return "interrupted" if status in ("running", "waiting") else status
