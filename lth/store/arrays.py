"""Checksummed safetensors files as arrays, bit-packed masks among them. Imports no PyTorch."""

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import safetensors.numpy
from safetensors import SafetensorError

from lth.file import LARGEST
from lth.store.file import Corrupt, Name, read_bytes

Kept = npt.NDArray[np.bool_]
Arrays = dict[str, Kept]
T = TypeVar("T")


def encoded(arrays: Mapping[str, npt.NDArray[Any]], name: Name) -> bytes:
    """The bytes of a file of this name, which `read_stored` reads."""
    return safetensors.numpy.save(dict(arrays), {**name.metadata, "sha256": _checksum(arrays, name.metadata)})


def read_stored(file: Path, name: Name) -> tuple[dict[str, npt.NDArray[Any]], dict[str, str]]:
    """(arrays, metadata without the checksum) of a file that the store wrote; raises Corrupt as `read_checked` does."""
    return read_checked(file, name, safetensors.numpy.load, _checksum)


def read_arrays(file: Path, name: Name) -> Arrays:
    """Read a mask that the store wrote; raises Corrupt, also if it has another name."""
    packed, metadata = read_stored(file, name)
    try:
        return {each: _unpacked(packed[each], shape) for each, shape in json.loads(metadata["shapes"]).items()}
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise Corrupt(f"{file} is corrupt: not a mask") from error


def read_checked(
    file: Path, name: Name, load: Callable[[bytes], T], checksum: Callable[[T, Mapping[str, str]], str]
) -> tuple[T, dict[str, str]]:
    """(tensors, metadata without the checksum) of a file that the store wrote; raises Corrupt, also if it has another
    name.
    """
    data = read_bytes(file, LARGEST)
    try:
        tensors = load(data)
        metadata = dict(json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"])
        wanted = metadata.pop("sha256")
    except (SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise Corrupt(f"{file} is corrupt: not a complete safetensors file") from error
    if wanted != checksum(tensors, metadata):
        raise Corrupt(f"{file} is corrupt: checksum mismatch")
    name.check(file, metadata)
    return tensors, metadata


def _unpacked(packed: npt.NDArray[np.uint8], shape: list[int]) -> Kept:
    count = math.prod(shape)
    if packed.shape != (-(-count // 8),):
        raise ValueError(f"{len(packed)} bytes for a mask of shape {shape}")
    return np.unpackbits(packed, count=count).astype(bool).reshape(shape)


def _checksum(packed: Mapping[str, npt.NDArray[Any]], metadata: Mapping[str, str]) -> str:
    """The checksum of `lth.store.tensors`, whose tensors have the types of PyTorch."""
    sha = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for name, array in sorted(packed.items()):
        sha.update(repr((name, f"torch.{array.dtype}", array.shape)).encode())
        sha.update(np.ascontiguousarray(array).data)
    return sha.hexdigest()
