"""Records of older versions, with the names that columns and branches have now. Imports no PyTorch."""

import re
from typing import Any

# Scopes of older stores -> distribution and structure.
SCOPES = {
    "layerwise": ("by_kind", "weight"),
    "globally": ("globally", "weight"),
    "neurons": ("by_kind", "neuron"),
    "n_of_m": ("by_kind", "n_of_m"),
}


def upgraded(record: dict[str, Any]) -> dict[str, Any]:
    """A record as this version would have written it."""
    return {
        **record,
        "columns": {new: each for key, value in record["columns"].items() for new, each in _columns(key, value)},
        "rows": {key: _row(key, row) for key, row in record["rows"].items()},
    }


def _columns(key: str, value: Any) -> list[tuple[str, Any]]:
    if key == "scope" and value in SCOPES:
        return list(zip(("distribution", "structure"), SCOPES[value], strict=True))
    return [(key.replace("scope.", "structure.", 1) if key.startswith("scope.") else key, value)]


def _row(key: str, row: dict[str, Any]) -> dict[str, Any]:
    """The row with branch "aware" and bits 3 (or "fp16") where an older store has branch "aware_3" ("aware_fp16"); a
    key of this version has the bits behind the branch, which may be called "mine_3".
    """
    is_older = "bits" in row and not key.startswith(f"{row['branch']}-{row['bits']}/")
    found = re.fullmatch(r"(.+)_(\d+|fp16|bf16)", row["branch"]) if is_older else None
    return {**row, "branch": found[1], "bits": int(found[2]) if found[2].isdigit() else found[2]} if found else row
