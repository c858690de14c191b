"""The precision that `precision=auto` stands for in an experiment: chosen by the hardware of its first job, and kept.

    root/experiments/<experiment>/.precision.json

Digests of results contain it, so that a sweep over machines of several kinds, and a login node that looks for results,
have to agree. Imports no PyTorch.
"""

import contextlib
import logging
from collections.abc import Callable
from pathlib import Path

from lth.store.file import Corrupt, Missing, check_types, make_folder, read_json, write_json
from lth.store.names import experiment_folder, name_of
from lth.store.record import records

log = logging.getLogger("lth")
FILE, LEASE = ".precision.json", ".lease"


def recorded(root: Path, experiment: str) -> str | None:
    """The precision that an experiment was begun with; None if it is not known. Changes nothing."""
    try:
        return _read(_file(root, experiment))
    except Corrupt as error:
        return _of_records(root, experiment, error)


def settle(root: Path, experiment: str, chosen: str, wait: Callable[[], None] = lambda: None) -> str:
    """Record a precision unless one is; returns that which is recorded. wait: as of a `Store`."""
    from lth.store.locks import locked  # what only reads a store does without

    file = _file(root, experiment)
    with contextlib.suppress(Corrupt):
        if (found := _read(file)) is not None:
            return found
    make_folder(file.parent)
    with locked(file.with_suffix(LEASE), wait):
        try:
            found = _read(file)
        except Corrupt as error:
            found, chosen = None, _of_records(root, experiment, error) or chosen
        if found is None:
            write_json(file, {"experiment": experiment, "precision": chosen})
    return found or chosen


def follow(root: Path, old: str, new: str) -> None:
    """Keep the precision of an experiment that is renamed, unless the new name has one."""
    if (found := recorded(root, old)) is not None:
        settle(root, new, found)


def forget(folder: Path) -> None:
    """Delete the folder of an experiment without records."""
    if not any(file.suffix == ".json" and file.name != FILE for file in folder.iterdir()):
        (folder / FILE).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # something else is in it
            folder.rmdir()


def _file(root: Path, experiment: str) -> Path:
    return experiment_folder(root, experiment) / FILE


def _read(file: Path) -> str | None:
    """The precision in a file; None if it is absent. Raises Corrupt."""
    try:
        content = read_json(file)
    except Missing:
        return None
    check_types(file, content, {"experiment": str, "precision": str})
    if content["experiment"] != name_of(file.parent):
        raise Corrupt(f"{file} is in the wrong place: its experiment is {content['experiment']}")
    return str(content["precision"])


def _of_records(root: Path, experiment: str, error: Corrupt) -> str | None:
    """The precision that the records of an experiment have, whose file is damaged; None if there are none. Nets that
    the hardware does not decide for have fp32 beside bf16.
    """
    found = {str(record["columns"].get("precision", "fp32")) for record in records(root, experiment)}
    precision = next((each for each in ("bf16", "fp32") if each in found), None)
    log.warning("%s; its records say %s", error, precision or "nothing of it, so that it is chosen anew")
    return precision
