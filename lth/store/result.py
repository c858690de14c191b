"""A finished training on disk: its facts and learning curve. Imports no PyTorch."""

import hashlib
import io
from pathlib import Path
from typing import Any

import pandas as pd

from lth.store.file import Corrupt, read_json


def read_result(entry: Path) -> dict[str, Any]:
    """Result of an entry, with its `evaluations` as a table; raises Corrupt."""
    result = read_json(entry / "result.json")
    file = entry / "evaluations.parquet"
    try:
        data = file.read_bytes()
    except FileNotFoundError as error:
        raise Corrupt(f"{file} is missing") from error
    if hashlib.sha256(data).hexdigest() != result["evaluations_sha256"]:
        raise Corrupt(f"{file} is corrupt: checksum mismatch")
    return {**result, "evaluations": pd.read_parquet(io.BytesIO(data))}


def read_environment(entry: Path) -> dict[str, str]:
    """Versions, machine and commit that an entry was trained with; raises Corrupt."""
    environment: dict[str, str] = read_json(entry / "result.json")["environment"]
    return environment
