"""Weights and mask <-> a file; the format is described in `lth.codec`."""

import hashlib
import json
import math
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lth.codec.rans import Reader, Refused
from lth.codec.tensor import approximated, decode_positions, decode_values, encode_positions, encode_values
from lth.ticket import Mask, Weights

MAGIC, VERSION = b"LTHC", 1
CHECKSUM = hashlib.sha256().digest_size
MOST_VALUES, MOST_HEADER = 2**28, 2**22
RAW = {"float16": "<f2", "float32": "<f4", "int64": "<i8"}
TYPES = {"float16": torch.float32, "float32": torch.float32, "int64": torch.int64}


@dataclass(frozen=True, eq=False)
class Decoded:
    """What a file holds: weights, pruned ones exactly 0, mask, bits (None: float32), and what the writer said of it."""

    weights: dict[str, Tensor]
    mask: dict[str, Tensor]
    bits: int | None
    description: dict[str, Any]


def encode(weights: Weights, mask: Mask, *, bits: int | None, description: Mapping[str, Any] | None = None) -> bytes:
    """m * W as a file. bits: 1 to 8 for the index of each kept weight into the codebook of its tensor, all other floats in
    float16 where it holds them; None: all in float32, nothing lost. description: anything that is JSON.
    """
    tensors, payload = [], []
    for name, weight in weights.items():
        entry, parts = _encoded(weight.detach().cpu(), mask.get(name), bits)
        tensors.append({"name": name, "shape": list(weight.shape), **entry, "bytes": [len(part) for part in parts]})
        payload += parts
    header = {"bits": bits, "description": dict(description or {}), "tensors": tensors}
    packed = zlib.compress(json.dumps(header, sort_keys=True, separators=(",", ":")).encode(), 9)
    whole = b"".join([MAGIC, struct.pack("<HI", VERSION, len(packed)), packed, *payload])
    return whole + hashlib.sha256(whole).digest()


def approximate(weights: Weights, mask: Mask, *, bits: int | None) -> dict[str, Tensor]:
    """The weights that decoding the file gives back, to the last bit, without a file."""
    return {name: _approximated(weight.detach().cpu(), mask.get(name), bits) for name, weight in weights.items()}


def decode(data: bytes) -> Decoded:
    """What `encode` wrote. Raises Refused, and nothing else, for any other bytes: it names what is wrong."""
    try:
        header, reader = _opened(data)
        bits, description, entries = header["bits"], header["description"], header["tensors"]
        if not (bits is None or (type(bits) is int and 1 <= bits <= 8)) or not isinstance(description, dict):
            raise Refused("its bits or its description are none")
        sizes = [_size(entry) for entry in entries]
        if sum(sizes) > MOST_VALUES:
            raise Refused(f"it says that it holds {sum(sizes)} values, more than {MOST_VALUES}")
        weights: dict[str, Tensor] = {}
        mask: dict[str, Tensor] = {}
        for entry, size in zip(entries, sizes, strict=True):
            name, shape = entry["name"], tuple(entry["shape"])
            if not isinstance(name, str) or name in weights:
                raise Refused(f"it has the tensor {name!r} twice, or its name is no text")
            values, kept = _decoded(entry, size, bits, reader)
            weights[name] = values.view(shape)
            if kept is not None:
                mask[name] = kept.view(shape)
        reader.end()
    except Refused as refused:
        raise Refused(f"this is no whole .lth file: {refused}") from refused
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise Refused(f"this is no whole .lth file: its header says {error}") from error
    return Decoded(weights, mask, bits, description)


def _encoded(weight: Tensor, kept: Tensor | None, bits: int | None) -> tuple[dict[str, Any], list[bytes]]:
    if kept is None:
        coding = _coding(weight, bits)
        return {"coding": coding}, [weight.numpy().astype(RAW[coding]).tobytes()]
    flat = kept.cpu().flatten().numpy()
    values = weight.flatten().numpy().astype(np.float32)[flat]
    return {"coding": "kept", "kept": len(values)}, [*encode_positions(flat), encode_values(values, bits)]


def _decoded(entry: Mapping[str, Any], size: int, bits: int | None, reader: Reader) -> tuple[Tensor, Tensor | None]:
    parts = [bytes(reader.bytes(_count(length))) for length in entry["bytes"]]
    if entry["coding"] != "kept":
        (data,) = parts
        raw = Reader(data)
        values = raw.array(RAW[entry["coding"]], size)
        raw.end()
        return torch.from_numpy(values.copy()).to(TYPES[entry["coding"]]), None
    count = _count(entry["kept"])
    if count > size:
        raise Refused("a mask keeps more than there is")
    classes, rest, coded = parts
    # Nothing of the size of the tensor is made before what it is made of was read.
    positions, kept_values = decode_positions(classes, rest, count, size), decode_values(coded, count, bits)
    flat, kept = np.zeros(size, dtype=np.float32), np.zeros(size, dtype=bool)
    flat[positions], kept[positions] = kept_values, True
    return torch.from_numpy(flat), torch.from_numpy(kept)


def _approximated(weight: Tensor, kept: Tensor | None, bits: int | None) -> Tensor:
    if kept is None:
        return weight.to(torch.float16).float() if _coding(weight, bits) == "float16" else weight.clone()
    flat = torch.zeros(weight.numel())
    values = weight.flatten()[kept.flatten()].float().numpy()
    flat[kept.flatten()] = torch.from_numpy(approximated(values, bits))
    return flat.view(weight.shape)


def _coding(weight: Tensor, bits: int | None) -> str:
    if not weight.is_floating_point():
        return "int64"
    fits = bits is not None and bool(weight.half().isfinite().all() and ((weight == 0) == (weight.half() == 0)).all())
    return "float16" if fits else "float32"


def _opened(data: bytes) -> tuple[dict[str, Any], Reader]:
    if data[: len(MAGIC)] != MAGIC:
        raise Refused(f"it does not begin with {MAGIC.decode()}")
    if hashlib.sha256(data[:-CHECKSUM]).digest() != data[-CHECKSUM:]:
        raise Refused("its checksum is another, so it is damaged or cut off")
    reader = Reader(data[:-CHECKSUM])
    reader.bytes(len(MAGIC))
    version = reader.number("<H")
    if version != VERSION:
        raise Refused(f"it is of version {version}, this program reads version {VERSION}")
    packed = reader.bytes(reader.number("<I"))
    unpacker = zlib.decompressobj()
    try:
        text = unpacker.decompress(packed, MOST_HEADER)
    except zlib.error as error:
        raise Refused(f"its header can't be unpacked ({error})") from error
    if not unpacker.eof:
        raise Refused(f"its header is not whole or has more than {MOST_HEADER} bytes")
    header = json.loads(text)
    if not isinstance(header, dict):
        raise Refused("its header is no mapping")
    return header, reader


def _size(entry: Any) -> int:
    return math.prod(_count(length) for length in entry["shape"])


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= MOST_VALUES * 8:
        raise Refused(f"a length is {value!r}")
    return value
