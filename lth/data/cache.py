"""Disk cache of memory-mapped arrays, verified by checksum once per process; concurrent processes share one copy.

    <name>-<digest of path, size and time of the source>/
        contents.json  written last: the name of the folder; type, shape and SHA-256 of each array; its own checksum
        <array>.npy

All processes that build a cache write the same bytes, each file whole, so that readers and builders need no lock.
"""

import hashlib
import io
import json
import logging
import os
from collections.abc import Callable, Sequence
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np

from lth.file import aside, open_regular, read_whole, write_text

Arrays = dict[str, np.ndarray]

log = logging.getLogger("lth")
FORMAT = 2
CONTENTS = "contents.json"
LARGEST = 2**20  # bytes of contents.json
# File -> device, number, size and time as they were when this process verified it, and its checksum.
_verified: dict[Path, tuple[Any, ...]] = {}


class Wrong(Exception):
    """A cache is missing, incomplete or corrupt."""


def cached(name: str, files: Sequence[Path], read: Callable[[], Arrays], cache: str | None) -> Arrays:
    """Memory-mapped result of `read`, which is called once per version of the files (path, size, modification time) and
    whenever the cache is not what was written.
    """
    facts = [(str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    base = Path(cache or os.environ.get("LTH_CACHE") or Path.home() / ".cache" / "lth")
    folder = base / f"{name}-{hashlib.sha256(repr(facts).encode()).hexdigest()[:16]}"
    try:
        return _mapped(folder)
    except Wrong as error:
        if os.path.lexists(folder / CONTENTS):
            log.warning("%s; it is made again", error)
        _write(folder, read())
    try:
        return _mapped(folder)
    except Wrong as error:
        raise OSError(f"{error}, just after it was written: check the disk, or set data.cache to another one") from None


def _mapped(folder: Path) -> Arrays:
    """The arrays of a cache, each mapped from the very file that was verified; raises Wrong."""
    try:
        return {name: _array(folder / f"{name}.npy", facts) for name, facts in _contents(folder / CONTENTS).items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise Wrong(f"the data cache {folder} can't be used ({error})") from error


def _contents(file: Path) -> dict[str, dict[str, Any]]:
    """Array -> its facts."""
    content = json.loads(read_whole(file, LARGEST))
    if content != _signed(file.parent.name, content["arrays"]):
        raise ValueError(f"{file.name}: it is of another cache, or checksum mismatch")
    arrays: dict[str, dict[str, Any]] = content["arrays"]
    return arrays


def _signed(name: str, arrays: dict[str, dict[str, Any]]) -> dict[str, Any]:
    content = {"format": FORMAT, "cache": name, "arrays": arrays}
    return {**content, "sha256": hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()}


def _array(file: Path, wanted: dict[str, Any]) -> np.ndarray:
    with open_regular(file) as stream:
        if _checksum(file, stream) != wanted["sha256"]:
            raise ValueError(f"{file.name}: checksum mismatch")
        stream.seek(0)
        found, offset = _header(stream), stream.tell()
        if found != {key: wanted[key] for key in found}:
            raise ValueError(f"{file.name} holds {found}")
        shape = tuple(found["shape"])
        return np.memmap(stream, np.dtype(found["dtype"]), "r", offset, shape)


def _checksum(file: Path, stream: BufferedReader) -> str:
    """SHA-256 of an open file, computed once per process and version of the file."""
    facts = os.fstat(stream.fileno())
    version = facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns
    if file not in _verified or _verified[file][:-1] != version:
        _verified[file] = *version, hashlib.file_digest(stream, "sha256").hexdigest()
    return str(_verified[file][-1])


def _header(stream: BufferedReader) -> dict[str, Any]:
    """Type and shape of an array file, whose data begin where this leaves the stream."""
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError("not an array file of version 1.0")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    if fortran or dtype.hasobject:
        raise ValueError(f"an array of {dtype}{' in Fortran order' if fortran else ''}")
    return {"dtype": dtype.str, "shape": [*shape]}


def _write(folder: Path, arrays: Arrays) -> None:
    """Write every array and then the contents, which make the cache complete."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        facts = {name: _written(folder / f"{name}.npy", array) for name, array in sorted(arrays.items())}
        write_text(folder / CONTENTS, json.dumps(_signed(folder.name, facts), indent=1))
    except OSError as error:
        raise OSError(f"can't write the data cache {folder} ({error}): set data.cache to another folder") from error


def _written(file: Path, array: np.ndarray) -> dict[str, Any]:
    """Write an array; returns its facts, the checksum that of its bytes in memory."""
    array = np.ascontiguousarray(array)
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, np.lib.format.header_data_from_array_1_0(array))
    with aside(file) as temporary, open(temporary, "xb") as stream:
        stream.write(header.getbuffer())
        stream.write(array.data)
    sha = hashlib.sha256(header.getbuffer())
    sha.update(array.data)
    return {"dtype": array.dtype.str, "shape": [*array.shape], "sha256": sha.hexdigest()}
