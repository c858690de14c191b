"""The index of a store: what tables need of every result, in one file. A cache, and nothing more.

    root/index    checksum of what follows; length of the JSON; JSON; the learning curves, column by column

A result that it knows is believed as long as `stat` says of both files of that result what it said when they were read.
All others are read from their own files, and all are if the index is missing, corrupt or of another version. What looks
at a store never writes the index; what trains brings it up to date in the end (`refresh`).
"""

import hashlib
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import lth
from lth.file import read_whole, write_whole
from lth.store.file import Corrupt

NAME = "index"
FORMAT = 2  # raised when other cells are made of the same result
LARGEST = 2**32  # bytes
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
        with suppress(OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return dict(_parsed(read_whole(self.root / NAME, LARGEST)))
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
    """Entries whose curves have the same columns are stored one behind the other."""
    kinds: dict[tuple[tuple[str, str], ...], list[Curve]] = {}
    entries = []
    for name, (now, known) in signed.items():
        kind = tuple((column, values.dtype.str) for column, values in known.curve.items())
        curves = kinds.setdefault(kind, [])
        curves.append(known.curve)
        entries.append([name, now, [*kinds].index(kind), _rows(known.curve), known.cells])
    arrays = [np.concatenate([c[column] for c in curves]) for kind, curves in kinds.items() for column, _ in kind]
    header = json.dumps({"format": FORMAT, "lth": lth.__version__, "kinds": [*kinds], "entries": entries}).encode()
    body = b"%d\n" % len(header) + header + b"".join(array.tobytes() for array in arrays)
    return hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def _parsed(data: bytes) -> Iterator[tuple[str, tuple[Signature, Known]]]:
    """Entries of the index; raises ValueError unless all of it is as it was written."""
    checksum, _, body = data.partition(b"\n")
    if checksum.decode() != hashlib.sha256(body).hexdigest():
        raise ValueError("checksum mismatch")
    length, _, rest = body.partition(b"\n")
    header = json.loads(rest[: int(length)])
    if (header["format"], header["lth"]) != (FORMAT, lth.__version__):
        raise ValueError("of another version")
    kinds = [*_columns(header, rest[int(length) :])]
    begun = [0] * len(kinds)
    for name, now, kind, rows, cells in header["entries"]:
        start, begun[kind] = begun[kind], begun[kind] + rows
        yield name, (now, Known(cells, {c: values[start : start + rows] for c, values in kinds[kind].items()}))


def _columns(header: Mapping[str, Any], blob: bytes) -> Iterator[Curve]:
    """The columns of each kind of curve, of all its entries together."""
    at = 0
    for number, kind in enumerate(header["kinds"]):
        rows, columns = sum(entry[3] for entry in header["entries"] if entry[2] == number), {}
        for column, dtype in kind:
            columns[column] = np.frombuffer(blob, dtype, rows, at)
            at += columns[column].nbytes
        yield columns


def _rows(curve: Curve) -> int:
    return max((math.prod(values.shape) for values in curve.values()), default=0)
