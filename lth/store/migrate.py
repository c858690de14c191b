"""Moves trainings stored by version 0.1, which named functions by the paths of their files, to their new names."""

import importlib
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lth.recipe import Recipe
from lth.store.digest import describe, digest, digest_of, sourceless
from lth.store.entry import partial_file, pruned_file
from lth.store.file import Corrupt, Missing, read_json, write_json
from lth.store.legacy import SCOPES
from lth.store.locks import TRAINING_LEASE, claimed, locked, saying
from lth.store.record import LEASE, read_record, record_files
from lth.store.result import is_complete
from lth.ticket import Ticket

MOVED = {"quantization.quantized_model": "lth.quantizer.layer.aware"}
BUSY = "another process is training what is to be migrated: migrate when it has ended"
ROOMS = {"augment", "criterion", "lr", "model", "regularization"}
FLAT = {"criterion"}  # rooms that were one file then, and are packages now
log = logging.getLogger("lth")


def old_digest(recipe: Recipe, ticket: Ticket) -> str:
    """The name that version 0.1 gave to a training."""
    return digest_of(_old(sourceless(describe(recipe))), ticket)


def adopt(root: Path, recipe: Recipe, ticket: Ticket) -> None:
    """Move the entry of a training to its new name, if it is there and not known by the new one yet.

    Under the lease of the new name, the result last: a migration that was stopped goes on where it was. Raises
    UserError while another process trains it.
    """
    old, new = (root / "trained" / name for name in (old_digest(recipe, ticket), digest(recipe, ticket)))
    if not is_complete(old) or is_complete(new):
        return
    try:
        result = read_json(old / "result.json")
    except Corrupt as error:
        log.warning("%s; its training is left where it is", error)
        return
    if result.get("digest") != old.name:
        log.warning("%s holds the result of %s; it is left where it is", old / "result.json", result.get("digest"))
        return
    with claimed([new], saying(BUSY)):
        partial_file(new).unlink(missing_ok=True)  # begun by a run before the migration
        for file in old.iterdir():
            if file.name not in ("result.json", TRAINING_LEASE, "lock"):
                file.rename(new / file.name)
        write_json(new / "result.json", {**result, "digest": new.name, "recipe": describe(recipe)})
        shutil.rmtree(old)


def adopt_mask(entry: Path, old: str, new: str) -> None:
    """Rename a stored mask that was made from a training."""
    if pruned_file(entry, old).exists():
        pruned_file(entry, old).rename(pruned_file(entry, new))


def old_science(criterion: Any, distribution: Any, structure: Any) -> list[Any]:
    """The descriptions of criterion and scope that version 0.1 named a mask by."""
    how = describe(structure)
    pair = describe(distribution)["function"], how.pop("function")
    scopes = {(f"distribution.{one}", f"structure.{two}"): scope for scope, (one, two) in SCOPES.items()}
    return [_old(sourceless(describe(criterion))), {"function": f"lth.scope.{scopes.get(pair, '')}", **how}]


def forget(root: Path, experiment: str, digests: set[str]) -> None:
    """Take the rows of these trainings out of the records of an experiment; a record without rows is deleted."""
    for file in record_files(root, experiment):
        with locked(file.with_suffix(LEASE), saying(BUSY)):
            _forget(file, digests)


def _forget(file: Path, digests: set[str]) -> None:
    try:
        record = read_record(file)
    except Missing:
        return
    except Corrupt as error:
        log.warning("%s; it is left as it is", error)
        return
    rows = {key: row for key, row in record["rows"].items() if row["digest"] not in digests}
    if not rows:
        file.unlink()
    elif rows != record["rows"]:
        write_json(file, {**record, "rows": rows})


def _old(description: Any) -> Any:
    if isinstance(description, Mapping):
        items = {key: _old(item) for key, item in description.items() if key != "version"}
        return items | ({"function": _old_name(items["function"])} if "function" in items else {})
    return [_old(item) for item in description] if isinstance(description, list) else description


def _old_name(name: str) -> str:
    room, _, function = name.partition(".")
    if room not in ROOMS:
        return MOVED.get(name, name)
    module = importlib.import_module(f"lth.{room}")
    return f"{module.__name__ if room in FLAT else getattr(module, function).__module__}.{function}"
