"""The index of a store: what tables need of every result, in one file. A cache, and nothing more.

    root/index    safetensors: the JSON of all entries as bytes; the learning curves, column by column

A result that it knows is believed as long as `stat` says of both files of that result what it said when they were read.
All others are read from their own files, and all are if the index is missing, corrupt or of another version. What looks
at a store never writes the index; what trains brings it up to date in the end (`refresh`).
"""

import json
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import lth
from lth.file import write_whole
from lth.store.arrays import encoded, read_stored
from lth.store.file import Corrupt, Name

NAME = "index"
FORMAT = 3  # raised when the layout changes, or other cells are made of the same result
OWN = Name("", NAME)
FILES = ("result.json", "evaluations.parquet")

Curve = Mapping[str, NDArray[Any]]
Signature = list[int]


@dataclass(frozen=True, eq=False)
class Known:
    """Cells of the table that a result gives, as JSON, and its learning curve: column -> numbers."""

    cells: Mapping[str, Any]
    curve: Curve


Read = Callable[[Path], Known]


class Index:
    """The index of a store, read on first use. `signed`: entry -> signature of its files and what they hold."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @cached_property
    def signed(self) -> dict[str, tuple[Signature, Known]]:
        """All that the index holds; nothing if there is none that can be read."""
        with suppress(Corrupt, ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return dict(_read(self.root / NAME))
        return {}

    def get(self, entry: Path, read: Read) -> Known:
        """Give what is known of an entry if its files are as they were, else what `read` gives or raises."""
        found = self.signed.get(entry.name)
        return found[1] if found and found[0] == signature(str(entry)) else read(entry)


def refresh(root: Path, read: Read) -> None:
    """Write the index of all results that can be read, if it is not up to date. Raises OSError."""
    index, new = Index(root), dict[str, tuple[Signature, Known]]()
    for name, now in _signatures(root / "trained"):
        if (found := index.signed.get(name)) and found[0] == now:
            new[name] = found
        else:
            with suppress(Corrupt, OSError):
                new[name] = now, read(root / "trained" / name)
    old = {name: signed for name, (signed, _) in index.signed.items()}
    if old != {name: signed for name, (signed, _) in new.items()}:
        write_whole(root / NAME, _written(new))


def signature(entry: str) -> Signature:
    """Times, size and number of the files of a result; empty if one is missing. The time of the last change of a file,
    unlike that of its content, can't be set back.
    """
    try:
        stats = [os.stat(f"{entry}/{file}") for file in FILES]
    except OSError:
        return []
    return [number for s in stats for number in (s.st_mtime_ns, s.st_ctime_ns, s.st_size, s.st_ino)]


def _signatures(folder: Path) -> Iterator[tuple[str, Signature]]:
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda each: each.name):
            if now := signature(entry.path):
                yield entry.name, now


def _written(signed: Mapping[str, tuple[Signature, Known]]) -> bytes:
    """One array for each column and type: the values of all curves, concatenated."""
    columns, entries = defaultdict[str, list[NDArray[Any]]](list), []
    for name, (now, known) in signed.items():
        parts = {f"{column} {values.dtype.str}": values for column, values in known.curve.items()}
        for column, values in parts.items():
            columns[column].append(values)
        entries.append([name, now, {column: len(values) for column, values in parts.items()}, known.cells])
    head = json.dumps({"format": FORMAT, "lth": lth.__version__, "entries": entries}).encode()
    arrays = {column: np.concatenate(parts) for column, parts in columns.items()}
    return encoded({"head": np.frombuffer(head, np.uint8), **arrays}, OWN)


def _read(file: Path) -> Iterator[tuple[str, tuple[Signature, Known]]]:
    """Entries of an index; raises Corrupt, or ValueError if it is of another version."""
    arrays, _ = read_stored(file, OWN)
    head, begun = json.loads(arrays["head"].tobytes()), Counter[str]()
    if (head["format"], head["lth"]) != (FORMAT, lth.__version__):
        raise ValueError("of another version")
    for name, now, rows, cells in head["entries"]:
        curve = {c.rpartition(" ")[0]: arrays[c][begun[c] : begun[c] + count] for c, count in rows.items()}
        begun.update(rows)
        yield name, (now, Known(cells, curve))
