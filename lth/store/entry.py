"""One stored training: a folder named by its digest.

    result.json              written last: an entry with it is complete
    evaluations.parquet      one row per evaluation, bound to the result by its checksum
    mask.safetensors         m_T, bit-packed
    step-<k>.safetensors     W_k as far as kept, W_T among them
    pruned-<key>.safetensors masks made from this training, bit-packed
    compared-<key>.json      measures of this training beside others
    partial.safetensors      the state of an interrupted training
    partial-<k>.safetensors  the state of one that was interrupted while W_k was made again
    lease                    who is training it (see `lth.store.lease`)

Files are written whole, carry a checksum and say what they are. Reading changes nothing: what is corrupt or in the
wrong place is named, and made again by the process that holds the lease of the entry.
"""

import hashlib
import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from lth import UserError
from lth.file import sweep, write_whole
from lth.recipe import Recipe
from lth.store.digest import describe
from lth.store.environment import environment, gpu, instructions
from lth.store.file import FORMAT, Corrupt, Missing, Name, Newer, check_format, check_types, read_json, write_json
from lth.store.result import forget_partial, read_result
from lth.store.tensors import read_mask, read_tensors, write_mask, write_tensors
from lth.ticket import Mask, Ticket, Trained, Weights

FILES = ("result.json", "evaluations.parquet", "mask.safetensors", "partial.safetensors")


def partial_file(entry: Path, again: int | None = None) -> Path:
    """File of the state of an interrupted training. again: the step up to which a finished one was trained again."""
    return entry / ("partial.safetensors" if again is None else f"partial-{again}.safetensors")


def weights_file(entry: Path, step: int) -> Path:
    """File of the weights of a step."""
    return entry / f"step-{step}.safetensors"


def pruned_file(entry: Path, key: str) -> Path:
    """File of a mask made from the training."""
    return entry / f"pruned-{key}.safetensors"


def write_entry(entry: Path, recipe: Recipe, trained: Trained, keep: str) -> None:
    """Write a finished training; result.json, which makes the entry complete, comes last."""
    for step in trained.facts["kept"]:
        write_weights(entry, step, trained.at(step))
    write_mask(entry / "mask.safetensors", trained.mask, **Name(entry.name, "mask").metadata)
    table = io.BytesIO()
    trained.evaluations.to_parquet(table, index=False)
    write_whole(entry / "evaluations.parquet", table.getvalue())
    ticket = trained.ticket
    order = {"order": ticket.order} if ticket.order else {}
    sizes = {name: [int(m.sum()), m.numel()] for name, m in ticket.mask.items()}
    write_json(
        entry / "result.json",
        {
            "format": FORMAT,
            "digest": entry.name,
            "recipe": describe(recipe),
            "ticket": {"step": ticket.step, "replicate": ticket.replicate, **order, "layers": sizes},
            "steps": trained.steps,
            "facts": {k: v for k, v in trained.facts.items() if k != "kept"},
            "evaluations_sha256": hashlib.sha256(table.getvalue()).hexdigest(),
            "keep": keep,
            "environment": {**environment(), **gpu(str(trained.facts.get("device"))), "instructions": instructions()},
        },
    )
    forget_partial(entry)


def read_entry(entry: Path, recipe: Recipe, ticket: Ticket) -> tuple[dict[str, Any], Mask]:
    """(result, m_T) of a training, all of whose files are what they should be; raises Corrupt."""
    result, file = read_result(entry), entry / "mask.safetensors"
    mask = read_mask(file, Name(entry.name, "mask"))
    _check_mask(file, mask, ticket.mask, moves=recipe.moves_mask)
    for step in _kept(entry):
        try:
            read_weights(entry, step, ticket, _pruned_by(recipe, ticket, mask, step == result["steps"]))
        except Missing:  # dropped by another process that keeps fewer weights
            continue
    return result, mask


def write_weights(entry: Path, step: int, weights: Weights) -> None:
    """Write W_step."""
    write_tensors(weights_file(entry, step), weights, **Name(entry.name, "weights", str(step)).metadata)


def read_weights(entry: Path, step: int, ticket: Ticket, mask: Mask) -> dict[str, Tensor]:
    """W_step, of the shapes of the ticket and 0 outside of the mask; raises Corrupt."""
    file = weights_file(entry, step)
    weights = read_tensors(file, Name(entry.name, "weights", str(step)))
    if _shapes(weights) != _shapes(ticket.weights) or any(weights[name][~m].any() for name, m in mask.items()):
        raise Corrupt(f"{file} is in the wrong place: its weights are not of this ticket")
    return weights


def write_pruned(entry: Path, key: str, mask: Mask) -> None:
    """Write a mask made from the training."""
    write_mask(pruned_file(entry, key), mask, **Name(entry.name, "pruned", key).metadata)


def read_pruned(entry: Path, key: str, trained: Trained) -> dict[str, Tensor]:
    """A mask made from the training, which keeps nothing that its mask does not; raises Corrupt."""
    file = pruned_file(entry, key)
    mask = read_mask(file, Name(entry.name, "pruned", key))
    if _shapes(mask) != _shapes(trained.mask) or any((m & ~trained.mask[name]).any() for name, m in mask.items()):
        raise Corrupt(f"{file} is in the wrong place: its mask was not made from this training")
    return mask


def write_compared(entry: Path, key: str, columns: Mapping[str, Mapping[str, Any]]) -> None:
    """Write measures of trainings beside each other: digest -> columns."""
    name = {"format": FORMAT, "digest": entry.name, "key": key}
    write_json(entry / f"compared-{key}.json", {**name, "columns": {each: dict(row) for each, row in columns.items()}})


def read_compared(entry: Path, key: str) -> dict[str, dict[str, Any]]:
    """Measures of trainings beside each other: digest -> columns; raises Corrupt."""
    file = entry / f"compared-{key}.json"
    found = read_json(file)
    check_format(file, found.get("format"))
    check_types(file, found, {"digest": str, "key": str, "columns": dict})
    if (found["digest"], found["key"]) != (entry.name, key):
        raise Corrupt(f"{file} is in the wrong place: it is that of {found['digest'][:40]} {found['key'][:40]}")
    columns: dict[str, dict[str, Any]] = found["columns"]
    return columns


def make_ready(entry: Path, recipe: Recipe, ticket: Ticket) -> None:
    """Under the lease of an entry that is to be trained: delete weights that can't be read, and what was left aside.

    Raises OSError if a folder has the name of a file.
    """
    sweep(entry)
    taken = [file for file in (*(entry / name for name in FILES), *entry.glob("step-*")) if file.is_dir()]
    if taken:
        raise OSError(f"{taken[0]} is a folder in the place of a file of the store: move it away")
    for step in _kept(entry):
        try:
            read_weights(entry, step, ticket, {} if recipe.moves_mask else ticket.mask)
        except Newer as error:
            raise UserError(str(error), code=1) from error
        except Corrupt:
            weights_file(entry, step).unlink(missing_ok=True)


def _kept(entry: Path) -> list[int]:
    """Steps whose weights are in the entry."""
    found = (re.fullmatch(r"step-(\d+)\.safetensors", file.name) for file in entry.glob("step-*"))
    return sorted(int(each[1]) for each in found if each)


def _pruned_by(recipe: Recipe, ticket: Ticket, mask: Mask, last: bool) -> Mask:
    """The mask of a step as far as it is known: none in the middle of a training that moves it."""
    return mask if last else {} if recipe.moves_mask else ticket.mask


def _check_mask(file: Path, mask: Mask, start: Mask, *, moves: bool) -> None:
    same = _shapes(mask) == _shapes(start) and (moves or all(bool((mask[k] == m).all()) for k, m in start.items()))
    if not same:
        raise Corrupt(f"{file} is in the wrong place: its mask is not of this ticket")


def _shapes(tensors: Weights) -> dict[str, tuple[Any, ...]]:
    return {name: (tuple(each.shape), each.dtype) for name, each in tensors.items()}
