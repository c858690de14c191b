"""One stored training: where it belongs, its recipe with the file of each function, its mask and learning curve."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from lth import UserError
from lth.store.arrays import Arrays, Kept, read_arrays
from lth.store.columns import SCIENCE
from lth.store.file import Corrupt, Name
from lth.store.record import records
from lth.store.result import read_result
from lth.store.source import source_now
from lth.store.source.definition import definition
from lth.store.stale import mark_branches

Row = tuple[str, str, str, str]  # part of the recipe, function or value, arguments, file


@dataclass(frozen=True)
class Inspection:
    """A training; places: (record, row) of each experiment that it belongs to."""

    digest: str
    result: Mapping[str, Any]
    mask: Arrays
    places: list[tuple[dict[str, Any], dict[str, Any]]]


def inspect(runs: Path, start: str) -> Inspection:
    """The stored training whose digest begins so. Raises UserError if it is none, or several, or can't be read."""
    digest = _complete(runs / "trained", start)
    entry = runs / "trained" / digest
    mark_branches(found := [*records(runs)])
    places = [(r, row) for r in found for row in r["rows"].values() if row.get("digest") == digest]
    try:
        return Inspection(
            digest, read_result(entry), read_arrays(entry / "mask.safetensors", Name(digest, "mask")), places
        )
    except Corrupt as error:
        raise UserError(f"{error}; run its experiment again", code=1) from error


def _complete(folder: Path, start: str) -> str:
    found = sorted(e.parent.name for e in folder.glob("*/result.json") if e.parent.name.startswith(start.lower()))
    if len(found) == 1:
        return found[0]
    if found:
        raise UserError(f"'{start}': {len(found)} digests begin so: {', '.join(found[:5])}; give more of it")
    raise UserError(f"{start}: no stored training under {folder.parent} has a digest that begins so; "
                    "lth table --format csv lists them in its column digest", code=1)  # fmt: skip


def parts(found: Inspection) -> list[Row]:
    """The parts of the recipe, then those that made the ticket: function, arguments, and the file they came from."""
    recipe = [_part(name, value) for name, value in found.result["recipe"].items()]
    return [*recipe, *(row for record, _ in found.places[:1] for row in _science(record))]


def _part(name: str, value: Any) -> Row:
    if isinstance(value, Mapping) and "fingerprint" in value:
        return name, str(value["name"]), f"scaling={value['scaling']}, sha256={value['fingerprint'][:8]}...", ""
    if not isinstance(value, Mapping) or "function" not in value:
        return name, _named(value), "", ""
    arguments = {key: each for key, each in value.items() if key not in ("function", "source", "version")}
    text = ", ".join(f"{key}={_named(each)}" for key, each in arguments.items())
    return name, value["function"], text, place(value["function"], value.get("source"))


def _named(value: Any) -> str:
    """A value for readers: a function, a data set or a task by its name."""
    if isinstance(value, Mapping):
        return str(value.get("name") or value.get("function") or dict(value))
    return str(value)


def _science(record: Mapping[str, Any]) -> Iterator[Row]:
    """Parts that a record names by columns, the user's own functions by their import paths."""
    columns, own = record["columns"], record["code"].get("sources", {})
    for name in SCIENCE:
        if short := columns.get(name):
            path = next((each for each in own if each.rpartition(".")[2] == short), f"{name}.{short}")
            arguments = [
                f"{key.partition('.')[2]}={each}" for key, each in columns.items() if key.startswith(f"{name}.")
            ]
            yield name, path, ", ".join(arguments), place(path, own.get(path))


def place(function: str, source: Mapping[str, str] | None) -> str:
    """The file of a function: of lth with its line; of the user's, and whether it changed since; else its package."""
    if source is None:
        return _place_in_lth(function) or f"package {function.partition('.')[0]}"
    now = source_now(function)
    if now is None:
        return f"{', '.join(source)} (not found here)"
    changed = [file for file in source if now.get(file) != source[file]]
    return ", ".join(f"{file} (changed since)" if file in changed else file for file in source)


def _place_in_lth(public: str) -> str:
    """`lth/criterion/weights.py:12` of criterion.magnitude; empty if it is no function of lth."""
    try:
        module, found = definition(f"lth.{public}")
    except LookupError:
        return ""
    return f"{module.replace('.', '/')}.py:{found.lineno}"


def layers(mask: Arrays) -> pd.DataFrame:
    """One row per layer: weights kept and in all, outputs (rows) and inputs (columns) that keep no weight."""
    return pd.DataFrame([
        {"layer": name.removesuffix(".weight"), "shape": " x ".join(map(str, kept.shape)), "kept": int(kept.sum()),
         "of": kept.size, "%": 100 * kept.mean(), "empty outputs": _empty(kept, 0), "empty inputs": _empty(kept, 1)}
        for name, kept in mask.items()
    ])  # fmt: skip


def _empty(kept: Kept, axis: int) -> str:
    """Number of places along an axis that keep nothing, such as "3 of 300"; empty for a tensor without this axis."""
    if kept.ndim <= axis:
        return ""
    others = tuple(other for other in range(kept.ndim) if other != axis)
    return f"{int((~kept.any(others)).sum())} of {kept.shape[axis]}"
