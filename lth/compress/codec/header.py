"""File header, with limits that bound the time and memory spent on untrusted files."""

import hashlib
import json
import math
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from lth.compress.codec.reader import Reader, Refused

MAGIC, VERSION = b"LTHC", 1
CHECKSUM = hashlib.sha256().digest_size
MAX_HEADER, MAX_TENSORS, MAX_DIMENSIONS, MAX_VALUES = 2**20, 2**12, 8, 2**28

# Description of a file -> number of values of the net that is known to be its own; 0 if none is.
Size = Callable[[Mapping[str, Any]], int]


@dataclass(frozen=True)
class Entry:
    """A tensor. coding: "kept" (pruned), "float16", "float32", "float64" or "int64"; kept: number of values that
    remain, None if not pruned; bytes: length of each part.
    """

    name: str
    shape: Sequence[int]
    coding: str
    kept: int | None
    bytes: Sequence[int]

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Header:
    """Facts that a file begins with. bits: bits of each kept value, 1 to 8, or None for float32."""

    bits: int | None
    description: Mapping[str, Any]
    tensors: Sequence[Entry]


def serialize(header: Header, payload: bytes) -> bytes:
    """The complete file; raises ValueError if the description is not valid JSON or the file would be refused, with its
    net too.
    """
    packed = zlib.compress(_text(asdict(header)), 9)
    whole = b"".join([MAGIC, struct.pack("<HI", VERSION, len(packed)), packed, payload])
    _check_limits(header, len(whole) + CHECKSUM, MAX_VALUES)
    return whole + hashlib.sha256(whole).digest()


def parse(data: bytes, size: Size) -> tuple[Header, Reader]:
    """The header, and a reader positioned at the parts. size: as for `decode`. Raises Refused, or a LookupError,
    TypeError, ValueError or RecursionError for a header that is malformed in another way.
    """
    if data[: len(MAGIC)] != MAGIC:
        raise Refused(f"it does not start with {MAGIC.decode()}")
    if hashlib.sha256(data[:-CHECKSUM]).digest() != data[-CHECKSUM:]:
        raise Refused("checksum mismatch: the file is corrupt or truncated")
    reader = Reader(data[:-CHECKSUM])
    reader.bytes(len(MAGIC))
    if (version := reader.number("<H")) != VERSION:
        raise Refused(f"format version {version}, this program reads version {VERSION}")
    text = _unpacked(reader.bytes(reader.number("<I")))
    found = json.loads(text)
    if not isinstance(found, dict) or _text(found) != text:
        raise Refused("the header is not canonical JSON (sorted keys, no spaces, no duplicates)")
    if unknown := found.keys() - {field.name for field in fields(Header)}:
        raise Refused(f"the header has an unknown key {min(unknown)!r}")
    header = Header(found["bits"], found["description"], [_entry(Entry(**entry)) for entry in found["tensors"]])
    if header.bits is not None and (type(header.bits) is not int or not 1 <= header.bits <= 8):
        raise Refused(f"invalid number of bits: {header.bits!r}")
    if not isinstance(header.description, dict):
        raise Refused("the description is not a mapping")
    _check_limits(header, len(data), size(header.description))
    return header, reader


def _text(header: Mapping[str, Any]) -> bytes:
    return json.dumps(header, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _unpacked(packed: memoryview) -> bytes:
    unpacker = zlib.decompressobj()
    try:
        text = unpacker.decompress(packed, MAX_HEADER)
    except zlib.error as error:
        raise Refused(f"the header can't be decompressed ({error})") from error
    if not unpacker.eof or unpacker.unused_data:
        raise Refused(f"the header is incomplete or longer than {MAX_HEADER} bytes")
    return text


def _entry(entry: Entry) -> Entry:
    """The entry itself; raises Refused if a field has an invalid type or value."""
    if not (isinstance(entry.name, str) and isinstance(entry.coding, str)):
        raise Refused("the name or the coding of a tensor is not a string")
    if type(entry.shape) is not list or len(entry.shape) > MAX_DIMENSIONS or type(entry.bytes) is not list:
        raise Refused(f"the shape or the parts of {entry.name!r} are not a list, or too long")
    for count in [*entry.shape, *entry.bytes, *([] if entry.kept is None else [entry.kept])]:
        if type(count) is not int or not 0 <= count <= 8 * MAX_VALUES:
            raise Refused(f"invalid length {count!r} in {entry.name!r}")
    if (entry.kept is None) != (entry.coding != "kept"):
        raise Refused(f"{entry.name!r} has the coding {entry.coding!r} and kept={entry.kept}")
    return entry


def _check_limits(header: Header, length: int, known: int) -> None:
    """Raise Refused if a file of this length may not hold so much: pruned values take no bytes, equal ones few. known:
    number of values of the net that the caller gave.
    """
    values = sum(math.prod(max(count, 1) for count in entry.shape) for entry in header.tensors)
    kept = sum(entry.kept or 0 for entry in header.tensors)
    if values > MAX_VALUES:
        raise Refused(f"{values} values: the format has at most {MAX_VALUES}")
    most, most_kept = max(2**25 + 6 * length, known), max(2**20 + 8 * length, known)
    if values > most or kept > most_kept:
        raise Refused(
            f"{values} values, {kept} of them kept: a file of {length} bytes may have {most} and {most_kept}, or as "
            "many as the net that it belongs to, if you give that: unpack(file, net)"
        )
    if len(header.tensors) > MAX_TENSORS or any((entry.kept or 0) > entry.size for entry in header.tensors):
        raise Refused(f"more than {MAX_TENSORS} tensors, or one with more kept values than values")
    if len({entry.name for entry in header.tensors}) < len(header.tensors):
        raise Refused("duplicate tensor name")
