"""Moves trainings stored by version 0.1, which named functions by the paths of their files, to their new names."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lth.augment
import lth.lr
import lth.model
import lth.regularization
from lth.recipe import Recipe
from lth.store.digest import describe, digest, digest_of, sourceless
from lth.store.file import read_json, write_json
from lth.ticket import Ticket

MOVED = {"quantization.quantized_model": "lth.quantizer.layer.aware"}
MODULES = {"augment": lth.augment, "lr": lth.lr, "model": lth.model, "regularization": lth.regularization}


def old_digest(recipe: Recipe, ticket: Ticket) -> str:
    """The name that version 0.1 gave to a training."""
    return digest_of(_old(sourceless(describe(recipe))), ticket)


def adopt(root: Path, recipe: Recipe, ticket: Ticket) -> str | None:
    """Rename the entry of a training from its old name; returns that name, None if there is no such entry."""
    old, new = old_digest(recipe, ticket), digest(recipe, ticket)
    entry = root / "trained" / old
    if not (entry / "result.json").exists() or (root / "trained" / new).exists():
        return None
    result = read_json(entry / "result.json")
    write_json(entry / "result.json", {**result, "digest": new, "recipe": describe(recipe)})
    entry.rename(root / "trained" / new)
    return old


def forget(root: Path, experiment: str, digests: set[str]) -> None:
    """Take the rows of these trainings out of the records of an experiment; a record without rows is deleted."""
    for file in (root / "experiments" / experiment).glob("*.json"):
        record = read_json(file)
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
    if room not in MODULES:
        return MOVED.get(name, name)
    return f"{getattr(MODULES[room], function).__module__}.{function}"
