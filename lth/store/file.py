"""JSON files with a checksum, and what every stored file says of itself. Imports no PyTorch.

A file names its entry, its kind, and its step or key, so that a whole file in the wrong place is not believed. Files of
older versions name nothing but the digest of a result: they are believed where they stand if their content fits.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lth
from lth.file import read_whole, write_whole

FORMAT = 2  # of the files of a store; those of older versions have none. Checksums are of the same form in all.
LARGEST_JSON = 2**26  # bytes


class Corrupt(Exception):
    """A file of the store is incomplete, fails its checksum, is that of something else, or can't be read."""


class Missing(Corrupt):
    """A file of the store is not there."""


class Newer(Corrupt):
    """A whole file of the store has a format of a later version, which must not be overwritten."""


@dataclass(frozen=True)
class Name:
    """Tensors of a store: digest of their entry, kind (weights, mask, pruned or partial), and step or key."""

    entry: str
    kind: str
    which: str = ""

    @property
    def metadata(self) -> dict[str, str]:
        """The name as metadata of a safetensors file."""
        return {"lth": str(FORMAT), "entry": self.entry, "kind": self.kind, "which": self.which}

    def __str__(self) -> str:
        return " ".join(filter(None, (self.kind, self.which, "of", self.entry)))

    def check(self, file: Path, metadata: Mapping[str, str]) -> None:
        """Raise Corrupt if the metadata of a file have another name, or none where none can be done without."""
        found = metadata.get("lth")
        check_format(file, int(found) if found and found.isdecimal() else found)
        given = Name(*(metadata.get(key, "") for key in ("entry", "kind", "which")))
        if found is not None and given != self:
            raise Corrupt(f"{file} is in the wrong place: it holds {given}")
        if found is None and self.kind == "partial":
            raise Corrupt(f"{file} was written by an older version and does not say of which training it is")


def check_format(file: Path, found: Any) -> None:
    """Raise Newer or Corrupt if a file, whose checksum is right, has a format that this version does not read."""
    if found is not None and (type(found) is not int or found < FORMAT):
        raise Corrupt(f"{file} is corrupt: it has format {str(found)[:20]!r}")
    if found is not None and found > FORMAT:
        raise Newer(
            f"{file} has format {found}, of a newer version of lth; this one ({lth.__version__}) reads up to "
            f"format {FORMAT}: update lth"
        )


def write_json(file: Path, value: Mapping[str, Any]) -> None:
    """Write JSON with a checksum of its canonical form."""
    write_whole(file, signed_json(value))


def signed_json(value: Mapping[str, Any]) -> bytes:
    """JSON with a checksum of its canonical form, as `write_json` writes it."""
    return json.dumps({**value, "sha256": _json_checksum(value)}, indent=1).encode()


def read_json(file: Path) -> dict[str, Any]:
    """Read a file of `write_json`; raises Corrupt."""
    data = read_bytes(file, LARGEST_JSON)
    try:
        value: dict[str, Any] = json.loads(data)
        checksum = value.pop("sha256")
        same = checksum == _json_checksum(value)
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise Corrupt(f"{file} is corrupt: not JSON with a checksum") from error
    if not same:
        raise Corrupt(f"{file} is corrupt: checksum mismatch")
    return value


def read_bytes(file: Path, most: int) -> bytes:
    """Bytes of a regular file of the store; raises Missing or Corrupt."""
    try:
        return read_whole(file, most)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise Missing(f"{file} is missing") from error
    except OSError as error:
        raise Corrupt(f"{file} can't be read: {error.strerror}") from error


def check_types(file: Path, value: Mapping[str, Any], types: Mapping[str, type | tuple[type, ...]]) -> None:
    """Raise Corrupt if a key is missing or its value of another type; True and False are no numbers."""
    for key, wanted in types.items():
        if not isinstance(found := value.get(key), wanted) or (isinstance(found, bool) and wanted is not bool):
            raise Corrupt(f"{file} is corrupt: its {key} is {str(found)[:40]!r}" if key in value else
                          f"{file} is corrupt: it has no {key}")  # fmt: skip


# Remedies where a folder can't be written to. A command of a store names it by --runs, lth run by root=.
ELSEWHERE = "Set root= (--runs) to a folder that can be written to"
OTHER_OUT = "Set --out (of lth run: root=) to a folder that can be written to"


def make_folder(folder: Path, remedy: str = ELSEWHERE) -> None:
    """Create a folder and its parents; raises OSError that names the folder and the remedy."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cant_write(folder, error, remedy) from error


def cant_write(folder: Path, error: OSError, remedy: str = ELSEWHERE) -> OSError:
    """An error that names the folder and the remedy."""
    reason = "it is no folder" if isinstance(error, FileExistsError) else error.strerror
    return OSError(error.errno, f"can't write to {folder}: {reason}. {remedy}")


def _json_checksum(value: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
