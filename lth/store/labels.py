"""Words that tell the jobs of an experiment apart. Imports no PyTorch."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lth.store.defaults import completed

UNTOLD = {"config", "reduced", "stale"}  # columns that tell no job apart in words


def told_apart(records: Sequence[Mapping[str, Any]]) -> list[tuple[str, Any]]:
    """For each record of an experiment the columns in which it differs from others, such as "optimizer.lr=0.1,
    replicate=2" (of a single one its replicate), and a key to sort by.
    """
    wanted = {column for record in records for column in record["columns"]}
    full = [completed(each["columns"], wanted, each["code"]) for each in records]
    different = [c for c in sorted(wanted - UNTOLD, key=_last) if len({str(each.get(c)) for each in full}) > 1]
    names = different or ["replicate"]
    if len({_words(each, names) for each in full}) < len(full):
        names = [*different, "config"]
    return [(_words(each, names), [_order(each.get(name)) for name in names]) for each in full]


def _words(columns: Mapping[str, Any], names: Iterable[str]) -> str:
    return ", ".join(f"{name}={columns[name]}" for name in names if name in columns)


def _last(column: str) -> tuple[bool, str]:
    """Sort key that puts the replicate last."""
    return column == "replicate", column


def _order(value: Any) -> tuple[bool, float, str]:
    """Numbers by value, before texts."""
    is_number = isinstance(value, int | float)
    return not is_number, value if is_number else 0, "" if is_number else str(value)
