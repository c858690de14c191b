"""The file formats of the store: whole or absent, and damage is found. JSON and safetensors, no pickle."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from lth.ticket import Mask, content


class Damaged(Exception):
    """A file of the store is not what was written."""


def write_whole(file: Path, data: bytes) -> None:
    """All of `data`, or nothing: written aside, forced to the disk, renamed."""
    aside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with open(aside, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(aside, file)
    except BaseException as error:
        aside.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise OSError(error.errno, f"can't write {file}: {error.strerror}") from error
        raise


def write_json(file: Path, value: Mapping[str, Any]) -> None:
    """With the checksum of its canonical form inside."""
    write_whole(file, json.dumps({**value, "sha256": _json_checksum(value)}, indent=1).encode())


def read_json(file: Path) -> dict[str, Any]:
    """What `write_json` wrote; raises Damaged."""
    try:
        value: dict[str, Any] = json.loads(file.read_bytes())
        checksum = value.pop("sha256")
    except FileNotFoundError as error:
        raise Damaged(f"{file} is missing") from error
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise Damaged(f"{file} is damaged (no JSON with a checksum)") from error
    if checksum != _json_checksum(value):
        raise Damaged(f"{file} is damaged (its checksum is another)")
    return value


def write_tensors(file: Path, tensors: Mapping[str, Tensor], **metadata: str) -> None:
    """As safetensors, with the checksum of names, shapes, bytes and metadata among the metadata."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    checksum = _tensor_checksum(tensors, metadata)
    write_whole(file, safetensors.torch.save(tensors, metadata={**metadata, "sha256": checksum}))


def read_tensors(file: Path) -> dict[str, Tensor]:
    """What `write_tensors` wrote; raises Damaged."""
    return _read_tensors(file)[0]


def write_mask(file: Path, mask: Mask) -> None:
    """Eight weights a byte."""
    packed = {name: torch.from_numpy(np.packbits(kept.cpu().numpy())) for name, kept in mask.items()}
    write_tensors(file, packed, shapes=json.dumps({name: list(kept.shape) for name, kept in mask.items()}))


def read_mask(file: Path) -> dict[str, Tensor]:
    """What `write_mask` wrote; raises Damaged."""
    packed, metadata = _read_tensors(file)
    return {
        name: torch.from_numpy(np.unpackbits(packed[name].numpy(), count=int(np.prod(shape)))).bool().view(shape)
        for name, shape in json.loads(metadata["shapes"]).items()
    }


def make_folder(folder: Path) -> None:
    """With parents; an error names the folder and the remedy."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(
            error.errno, f"can't write to {folder}: {error.strerror}. Name another folder with root="
        ) from error


def _read_tensors(file: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        data = file.read_bytes()
        tensors = safetensors.torch.load(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        metadata = dict(header["__metadata__"])
        checksum = metadata.pop("sha256")
    except FileNotFoundError as error:
        raise Damaged(f"{file} is missing") from error
    except (SafetensorError, ValueError, KeyError) as error:
        raise Damaged(f"{file} is damaged (no whole safetensors file)") from error
    if checksum != _tensor_checksum(tensors, metadata):
        raise Damaged(f"{file} is damaged (its checksum is another)")
    return tensors, metadata


def _json_checksum(value: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _tensor_checksum(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    sha = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        sha.update(repr((name, str(tensor.dtype), tuple(tensor.shape))).encode())
        sha.update(content(tensor))
    return sha.hexdigest()
