"""The precision that `precision=auto` stands for in an experiment: chosen by the hardware of its first job, and kept.

    root/experiments/<experiment>/.precision.json

Digests of results contain it, so that a sweep over machines of several kinds, and a login node that looks for results,
have to agree. Imports no PyTorch.
"""

import contextlib
from collections.abc import Callable
from pathlib import Path

from lth.store.file import Corrupt, check_types, make_folder, read_json, write_json
from lth.store.names import experiment_folder

FILE, LEASE = ".precision.json", ".lease"


def recorded(root: Path, experiment: str) -> str | None:
    """The precision that an experiment was begun with; None if it is not known. Changes nothing."""
    return _read(_file(root, experiment))


def settle(root: Path, experiment: str, chosen: str, wait: Callable[[], None] = lambda: None) -> str:
    """Record a precision unless one is; returns that which is recorded. wait: as of a `Store`."""
    from lth.store.locks import locked  # what only reads a store does without

    file = _file(root, experiment)
    if (found := _read(file)) is not None:
        return found
    make_folder(file.parent)
    with locked(file.with_suffix(LEASE), wait):
        if (found := _read(file)) is None:
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
    """The precision in a file; None if it is absent or corrupt."""
    try:
        content = read_json(file)
        check_types(file, content, {"precision": str})
    except Corrupt:
        return None
    return str(content["precision"])
