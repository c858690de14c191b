"""Renaming of stored experiments. Imports no PyTorch."""

from functools import partial
from pathlib import Path

from lth import UserError
from lth.store.every import check_ended, own_and_all
from lth.store.file import FORMAT, write_json
from lth.store.locks import BUSY, locked, saying
from lth.store.names import check_name, experiment_folder, folder_of
from lth.store.precision import follow
from lth.store.record import LEASE, read_record
from lth.store.stale import merged
from lth.store.upkeep import drop_record


def rename(root: Path, old: str, new: str, *, merge: bool = False) -> int:
    """Give an experiment another name; returns the number of its records. merge: put it together with one that has this
    name already. A renaming that was stopped is completed by one with `merge`. Raises UserError.
    """
    check_name(new)
    own, every = own_and_all(root, old)
    target = experiment_folder(root, new)
    if new == old or any(target.exists() and target.samefile(file.parent) for file in own):
        raise UserError(f"{old} has this name already, as far as this disk can tell")
    if not merge and any(file.parent == target for file in every):
        raise UserError(f"an experiment named {new} is stored already: take another name, or join both with --merge, "
                        "as after a renaming that was stopped")  # fmt: skip
    check_ended(old, own.values())
    follow(root, old, new)
    for file in own:
        drop_record(file, partial(_move, file, target / file.name, new))
    _move_figures(root / "figures", folder_of(old), folder_of(new))
    return len(own)


def _move(file: Path, target: Path, name: str) -> None:
    """Write a record under its new name, with the rows that stand there; none may be added to it meanwhile."""
    record = read_record(file)
    check_ended(record["experiment"], [record])
    with locked(target.with_suffix(LEASE), saying(BUSY)):
        rows = read_record(target)["rows"] if target.exists() else {}
        own = {"format": FORMAT, "experiment": name, "job": target.stem, "rows": merged(rows, record["rows"])}
        new = {**record, **own}
        write_json(target, new)


def _move_figures(folder: Path, old: str, new: str) -> None:
    """Move the figures, which the next run draws again, unless there are others."""
    if (folder / old).is_dir() and not (folder / new).exists():
        (folder / old).rename(folder / new)
