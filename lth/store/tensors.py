"""Checksummed safetensors files: state dicts and bit-packed masks. No pickle."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from lth.file import write_whole
from lth.store.arrays import read_arrays, read_checked
from lth.store.file import Name
from lth.ticket import Mask, content


def write_tensors(file: Path, tensors: Mapping[str, Tensor], **metadata: str) -> None:
    """Write a safetensors file whose metadata has a checksum of names, shapes, bytes and the other metadata."""
    write_whole(file, encoded(tensors, **metadata))


def encoded(tensors: Mapping[str, Tensor], **metadata: str) -> bytes:
    """The bytes of such a file, always the same. Tensors may share their memory; in the file each has its own."""
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    checksum = _tensor_checksum(tensors, metadata)
    return _in_order(safetensors.torch.save(tensors, metadata={**metadata, "sha256": checksum}))


def _in_order(file: bytes) -> bytes:
    """The file with its metadata in order: the library writes them in another one each time. A header has its length in
    front, a little-endian u64, and spaces behind up to a multiple of 8.
    """
    end = 8 + int.from_bytes(file[:8], "little")
    header = json.loads(file[8:end])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return b"".join((len(text).to_bytes(8, "little"), text, memoryview(file)[end:]))


def read_tensors(file: Path, name: Name) -> dict[str, Tensor]:
    """Read a file of `write_tensors`; raises Corrupt, also if it has another name."""
    return read_checked(file, name, safetensors.torch.load, _tensor_checksum)[0]


def write_mask(file: Path, mask: Mask, **metadata: str) -> None:
    """Write a mask, bit-packed: eight weights per byte."""
    packed = {name: torch.from_numpy(np.packbits(kept.cpu().numpy())) for name, kept in mask.items()}
    shapes = json.dumps({name: list(kept.shape) for name, kept in mask.items()})
    write_tensors(file, packed, shapes=shapes, **metadata)


def read_mask(file: Path, name: Name) -> dict[str, Tensor]:
    """Read a file of `write_mask`; raises Corrupt, also if it has another name."""
    return {each: torch.from_numpy(kept) for each, kept in read_arrays(file, name).items()}


def _tensor_checksum(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    sha = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        sha.update(repr((name, str(tensor.dtype), tuple(tensor.shape))).encode())
        sha.update(content(tensor))
    return sha.hexdigest()
