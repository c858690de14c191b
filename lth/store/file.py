"""JSON files with a checksum. Imports no PyTorch."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lth.file import write_whole


class Corrupt(Exception):
    """A file of the store is missing, incomplete or fails its checksum."""


def write_json(file: Path, value: Mapping[str, Any]) -> None:
    """Write JSON with a checksum of its canonical form."""
    write_whole(file, json.dumps({**value, "sha256": _json_checksum(value)}, indent=1).encode())


def read_json(file: Path) -> dict[str, Any]:
    """Read a file of `write_json`; raises Corrupt."""
    try:
        value: dict[str, Any] = json.loads(file.read_bytes())
        checksum = value.pop("sha256")
    except FileNotFoundError as error:
        raise Corrupt(f"{file} is missing") from error
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise Corrupt(f"{file} is corrupt: not JSON with a checksum") from error
    if checksum != _json_checksum(value):
        raise Corrupt(f"{file} is corrupt: checksum mismatch")
    return value


def make_folder(folder: Path) -> None:
    """Create a folder and its parents; raises OSError that names the folder and the key to set."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(error.errno, f"can't write to {folder}: {error.strerror}. Set root= to another folder") from error


def _json_checksum(value: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
