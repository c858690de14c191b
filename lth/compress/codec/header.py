"""The header of a file, and what it may say: whoever wrote it, reading takes little time and memory."""

import hashlib
import json
import math
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lth.compress.codec.reader import Reader, Refused

MAGIC, VERSION = b"LTHC", 1
CHECKSUM = hashlib.sha256().digest_size
MOST_HEADER, MOST_TENSORS, MOST_DIMENSIONS, MOST_VALUES = 2**20, 2**12, 8, 2**28


@dataclass(frozen=True)
class Entry:
    """A tensor: coding is "kept", "float16", "float32" or "int64"; kept, how many values are, or None; bytes, the
    length of each of its parts.
    """

    name: str
    shape: Sequence[int]
    coding: str
    kept: int | None
    bytes: Sequence[int]

    @property
    def size(self) -> int:
        """How many values it has."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Header:
    """bits: of each kept value, 1 to 8, or None for float32."""

    bits: int | None
    description: Mapping[str, Any]
    tensors: Sequence[Entry]


def closed(header: Header, payload: bytes) -> bytes:
    """The whole file; raises ValueError if the description is no JSON or the file would be refused."""
    packed = zlib.compress(_text(asdict(header)), 9)
    whole = b"".join([MAGIC, struct.pack("<HI", VERSION, len(packed)), packed, payload])
    _bounded(header, len(whole) + CHECKSUM)
    return whole + hashlib.sha256(whole).digest()


def opened(data: bytes) -> tuple[Header, Reader]:
    """The header, and a reader of the parts; raises Refused, or what Python does on JSON that is another."""
    if data[: len(MAGIC)] != MAGIC:
        raise Refused(f"it does not begin with {MAGIC.decode()}")
    if hashlib.sha256(data[:-CHECKSUM]).digest() != data[-CHECKSUM:]:
        raise Refused("its checksum is another, so it is damaged or cut off")
    reader = Reader(data[:-CHECKSUM])
    reader.bytes(len(MAGIC))
    if (version := reader.number("<H")) != VERSION:
        raise Refused(f"it is of version {version}, this program reads version {VERSION}")
    text = _unpacked(reader.bytes(reader.number("<I")))
    found = json.loads(text)
    if not isinstance(found, dict) or _text(found) != text:  # the same key twice, NaN, spaces
        raise Refused("its header is no JSON mapping as this program writes it")
    header = Header(found["bits"], found["description"], [_entry(Entry(**entry)) for entry in found["tensors"]])
    if header.bits is not None and (type(header.bits) is not int or not 1 <= header.bits <= 8):
        raise Refused(f"it has {header.bits!r} bits a value")
    if not isinstance(header.description, dict):
        raise Refused("its description is no mapping")
    _bounded(header, len(data))
    return header, reader


def _text(header: Mapping[str, Any]) -> bytes:
    return json.dumps(header, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _unpacked(packed: memoryview) -> bytes:
    unpacker = zlib.decompressobj()
    try:
        text = unpacker.decompress(packed, MOST_HEADER)
    except zlib.error as error:
        raise Refused(f"its header can't be unpacked ({error})") from error
    if not unpacker.eof or unpacker.unused_data:
        raise Refused(f"its header is not whole or has more than {MOST_HEADER} bytes")
    return text


def _entry(entry: Entry) -> Entry:
    """The entry, if all in it is of the type that it should be."""
    if not (isinstance(entry.name, str) and isinstance(entry.coding, str)):
        raise Refused("the name or the coding of a tensor is no text")
    if type(entry.shape) is not list or len(entry.shape) > MOST_DIMENSIONS or type(entry.bytes) is not list:
        raise Refused(f"the shape or the parts of {entry.name!r} are no short list")
    for count in [*entry.shape, *entry.bytes, *([] if entry.kept is None else [entry.kept])]:
        if type(count) is not int or not 0 <= count <= 8 * MOST_VALUES:
            raise Refused(f"a length of {entry.name!r} is {count!r}")
    if (entry.kept is None) != (entry.coding != "kept"):
        raise Refused(f"{entry.name!r} says how many values are kept and has none, or the other way round")
    return entry


def _bounded(header: Header, length: int) -> None:
    """A pruned value costs no byte, and an even one hardly any: a file must not ask for more than its size allows."""
    most, most_kept = min(MOST_VALUES, 2**24 + 2**10 * length), 2**16 + 2**5 * length
    values = sum(math.prod(max(count, 1) for count in entry.shape) for entry in header.tensors)
    kept = sum(entry.kept or 0 for entry in header.tensors)
    if values > most or kept > most_kept:
        raise Refused(f"{values} values, {kept} of them kept, are more than the {most} and {most_kept} that a file of "
                      f"{length} bytes may hold")  # fmt: skip
    if len(header.tensors) > MOST_TENSORS or any((entry.kept or 0) > entry.size for entry in header.tensors):
        raise Refused(f"it has more than {MOST_TENSORS} tensors, or one that keeps more values than it has")
    if len({entry.name for entry in header.tensors}) < len(header.tensors):
        raise Refused("it has two tensors of the same name")
