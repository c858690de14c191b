"""Weights and mask <-> a file; the format is described in `lth.compress.codec`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lth.compress.codec.header import Entry, Header, Size, parse, serialize
from lth.compress.codec.reader import Reader, Refused
from lth.compress.codec.tensor import (
    decode_positions,
    decode_values,
    encode_positions,
    encode_values,
)
from lth.ticket import Mask, Weights

RAW = {"float16": "<f2", "float32": "<f4", "float64": "<f8", "int64": "<i8"}
TYPES = {"float16": torch.float32, "float32": torch.float32, "float64": torch.float64, "int64": torch.int64}


@dataclass(frozen=True, eq=False)
class Contents:
    """Decoded file: weights (pruned ones exactly 0), mask, bits (None: float32) and the writer's description."""

    weights: dict[str, Tensor]
    mask: dict[str, Tensor]
    bits: int | None
    description: Mapping[str, Any]


def encode(weights: Weights, mask: Mask, *, bits: int | None, description: Mapping[str, Any] | None = None) -> bytes:
    """m * W as a file. bits: 1 to 8 for the index of each kept weight into the codebook of its tensor, other floats in
    float16 unless one of them is too large for it, or so small that it would be 0; None: float32 throughout, lossless.
    description: a mapping of JSON.

    Raises ValueError for tensors or descriptions that the format can't represent.
    """
    if unknown := mask.keys() - weights.keys():
        raise ValueError(f"the mask has no weight named {', '.join(sorted(unknown))}")
    entries, payload = [], []
    for name, weight in sorted(weights.items()):
        coding, kept, parts = _encoded(_as_stored(name, weight, name in mask), mask.get(name), bits)
        entries.append(Entry(name, list(weight.shape), coding, kept, [len(part) for part in parts]))
        payload += parts
    return serialize(Header(bits, json.loads(json.dumps(dict(description or {}))), entries), b"".join(payload))


def decode(data: bytes, size: Size = lambda _: 0) -> Contents:
    """Inverse of `encode`. Raises Refused, and nothing else, for invalid bytes; the message says what is wrong.

    size: the file's description -> number of values of the net that the caller has for it; so many a file of any length
    may have.
    """
    try:
        header, reader = parse(data, size)
        weights: dict[str, Tensor] = {}
        mask: dict[str, Tensor] = {}
        for entry in header.tensors:
            values, kept = _decoded(entry, header.bits, [bytes(reader.bytes(length)) for length in entry.bytes])
            weights[entry.name] = values.view(tuple(entry.shape))
            if kept is not None:
                mask[entry.name] = kept.view(tuple(entry.shape))
        reader.end()
    except Refused as refused:
        raise Refused(f"invalid file: {refused}") from refused
    except (LookupError, TypeError, ValueError, RecursionError) as error:
        raise Refused(f"invalid file: invalid header: {error}") from error
    except (MemoryError, RuntimeError) as error:  # PyTorch raises the second
        raise Refused("invalid file: it needs more memory than there is") from error
    return Contents(weights, mask, header.bits, header.description)


def _as_stored(name: str, weight: Tensor, pruned: bool) -> Tensor:
    """The tensor on the CPU, as float32 or int64, or float64 if it is not pruned."""
    if weight.is_complex() or (pruned and weight.dtype == torch.float64):
        raise ValueError(f"{name} is {weight.dtype}, which the format can't represent: convert it to float32")
    if weight.dtype == torch.float64:
        return weight.detach().cpu()
    return weight.detach().cpu().to(torch.float32 if weight.is_floating_point() else torch.int64)


def _encoded(weight: Tensor, kept: Tensor | None, bits: int | None) -> tuple[str, int | None, list[bytes]]:
    if kept is None:
        coding = _coding(weight, bits)
        return coding, None, [weight.numpy().astype(RAW[coding]).tobytes()]
    flat = kept.cpu().flatten().numpy()
    values = weight.flatten().numpy()[flat]
    return "kept", len(values), [*encode_positions(flat), encode_values(values, bits)]


def _decoded(entry: Entry, bits: int | None, parts: list[bytes]) -> tuple[Tensor, Tensor | None]:
    if entry.kept is None:
        (data,) = parts
        raw = Reader(data)
        values = raw.array(RAW[entry.coding], entry.size)
        raw.end()
        return torch.from_numpy(values.copy()).to(TYPES[entry.coding]), None
    classes, rest, coded = parts
    flat, kept = np.zeros(entry.size, dtype=np.float32), np.zeros(entry.size, dtype=bool)
    positions = decode_positions(classes, rest, entry.kept, entry.size)
    for places, part in zip(
        positions, decode_values(coded, entry.kept, bits), strict=True
    ):  # in parts: the rest stays small
        flat[places], kept[places] = part, True
    return torch.from_numpy(flat), torch.from_numpy(kept)


def _coding(weight: Tensor, bits: int | None) -> str:
    if not weight.is_floating_point():
        return "int64"
    if weight.dtype == torch.float64:
        return "float64"
    half = weight.half()
    fits = bits is not None and bool(half.isfinite().all() and ((weight == 0) == (half == 0)).all())
    return "float16" if fits else "float32"
