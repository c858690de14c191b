"""One stored training: a folder named by its digest.

    result.json              written last: an entry with it is complete
    evaluations.parquet      one row per evaluation
    mask.safetensors         m_T, bit-packed
    step-<k>.safetensors     W_k as far as kept, W_T among them
    pruned-<key>.safetensors masks made from this training, bit-packed
    partial.safetensors      the state of an interrupted training

Files are written atomically and carry a checksum; a corrupt one is named, and its content is computed again.
"""

import contextlib
import hashlib
import io
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from lth.file import write_whole
from lth.recipe import Recipe
from lth.store.digest import describe
from lth.store.environment import environment
from lth.store.file import Corrupt, write_json
from lth.store.result import read_result
from lth.store.tensors import read_mask, read_tensors, write_mask, write_tensors
from lth.ticket import Mask, Trained

log = logging.getLogger("lth")
T = TypeVar("T")


def partial_file(entry: Path) -> Path:
    """File of the state of an interrupted training."""
    return entry / "partial.safetensors"


def weights_file(entry: Path, step: int) -> Path:
    """File of the weights of a step."""
    return entry / f"step-{step}.safetensors"


def is_complete(entry: Path) -> bool:
    """True if the training is finished and stored."""
    return (entry / "result.json").exists()


def write_entry(entry: Path, recipe: Recipe, trained: Trained, keep: str) -> None:
    """Write a finished training; result.json, which makes the entry complete, comes last."""
    for step in trained.facts["kept"]:
        write_tensors(weights_file(entry, step), trained.at(step))
    write_mask(entry / "mask.safetensors", trained.mask)
    table = io.BytesIO()
    trained.evaluations.to_parquet(table, index=False)
    write_whole(entry / "evaluations.parquet", table.getvalue())
    ticket = trained.ticket
    sizes = {name: [int(m.sum()), m.numel()] for name, m in ticket.mask.items()}
    write_json(
        entry / "result.json",
        {
            "digest": entry.name,
            "recipe": describe(recipe),
            "ticket": {"step": ticket.step, "replicate": ticket.replicate, "layers": sizes},
            "steps": trained.steps,
            "facts": {k: v for k, v in trained.facts.items() if k != "kept"},
            "evaluations_sha256": hashlib.sha256(table.getvalue()).hexdigest(),
            "keep": keep,
            "environment": environment(),
        },
    )
    partial_file(entry).unlink(missing_ok=True)


def read_entry(entry: Path) -> tuple[dict[str, Any], Mask] | None:
    """(result, m_T) of a training; None if it is not complete or, after a warning, corrupt, and is to be done again."""
    if not is_complete(entry):
        return None
    try:
        result, mask = read_result(entry), read_mask(entry / "mask.safetensors")
        for file in sorted({*entry.glob("*.safetensors")} - {partial_file(entry)}):
            _verify(file, optional=file.name.startswith("pruned-"))
    except Corrupt as error:
        log.warning("%s; it is trained again", error)
        with contextlib.suppress(FileNotFoundError):
            (entry / "result.json").unlink()
        return None
    return result, mask


def intact(read: Callable[[Path], T], file: Path) -> T | None:
    """The content of a file; None if it is absent or, after a warning, corrupt."""
    try:
        return read(file) if file.exists() else None
    except Corrupt as error:
        log.warning("%s; it is computed again", error)
        return None


def _verify(file: Path, *, optional: bool) -> None:
    """Delete a corrupt file; raise Corrupt unless it is optional."""
    try:
        read_tensors(file)
    except Corrupt as error:
        if not file.exists():  # dropped by another process that keeps fewer weights
            return
        file.unlink(missing_ok=True)
        if not optional:
            raise
        log.warning("%s; it is computed again", error)
