"""Every record of a store, for what must know all of them: deletions and renamings. Imports no PyTorch."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lth import UserError
from lth.store.file import Corrupt
from lth.store.names import folder_of
from lth.store.record import is_record, read_record

UNKNOWN = "What it needs is not known, so nothing is deleted or renamed"


def every_record(root: Path) -> dict[Path, dict[str, Any]]:
    """File and content of every record; raises UserError if one can't be read."""
    try:
        folders = [each for each in _listed(root / "experiments") if each.is_dir() or not each.name.startswith(".")]
        if gone := [each for each in folders if each.is_symlink() and not each.exists()]:
            raise Corrupt(f"{gone[0]} is a link to nothing")
        files = [file for folder in folders for file in _listed(folder)]
        return {file: read_record(file) for file in files if is_record(file)}
    except PermissionError as error:
        raise UserError(f"{error}. {UNKNOWN}: allow it to be read", code=1) from error
    except (Corrupt, NotADirectoryError) as error:
        raise UserError(
            f"{error}. {UNKNOWN}: restore it, or move it away and run its experiment again", code=1
        ) from error


def _listed(folder: Path) -> list[Path]:
    """Content of a folder, sorted; nothing if it is not there. Raises PermissionError and NotADirectoryError."""
    try:
        return sorted(folder.iterdir())
    except FileNotFoundError:
        return []


def own_and_all(
    root: Path, experiment: str, more: str = ""
) -> tuple[dict[Path, dict[str, Any]], dict[Path, dict[str, Any]]]:
    """The records of an experiment, and all; raises UserError if it has none. more: another remedy."""
    every = every_record(root)
    own = {file: record for file, record in every.items() if file.parent.name == folder_of(experiment)}
    if not own:
        raise unknown(root, experiment, (str(record["experiment"]) for record in every.values()), more)
    return own, every


def unknown(root: Path, experiment: str, stored: Iterable[str], more: str = "") -> UserError:
    """The error for an experiment of which nothing is stored; it names those that are. more: another remedy."""
    names = ", ".join(sorted({*stored})) or "nothing"
    return UserError(f"there is no experiment '{experiment}' under {root}; stored: {names}{more}")


def check_ended(experiment: str, records: Iterable[Mapping[str, Any]], otherwise: str = "") -> None:
    """Raise UserError if a job of an experiment has not ended, as far as its records say. otherwise: another remedy."""
    if any(record["status"] == "running" for record in records):
        what = f"a job of {experiment} is running, or was killed: wait for it, or run its command again{otherwise}"
        raise UserError(what, code=1)
