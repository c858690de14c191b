"""Nets of one branch beside each other: what is measured once all of its draws at a level are trained."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import count
from typing import Any

import torch

from lth import UserError
from lth.early_bird import Drawn
from lth.engine import Callback
from lth.engine.precision import on_processor
from lth.engine.width import on_cuda
from lth.job.branch import Branch
from lth.job.levels import drawn_before
from lth.job.masks import mask_key
from lth.job.values import Job
from lth.keywords import takes
from lth.recipe import Recipe
from lth.seed import seeded
from lth.store import Store
from lth.store.columns import COMPARED, OWN
from lth.store.digest import describe, short
from lth.ticket import Trained

Columns = Mapping[str, Any]


def compared(
    job: Job, recipe: Recipe, store: Store, trained: list[Trained], done: Sequence[Trained], callback: Callback
) -> Iterator[tuple[Trained, Columns]]:
    """Each of these trainings with the columns of its branch's `compare`, those of a parent together; read from the
    store where they have been measured before. done: all trainings so far, that of the level before among them.
    """
    siblings: dict[tuple[str, int, int], list[Trained]] = {}
    for each in trained:
        place = each.ticket.branch, each.ticket.replicate, each.ticket.level
        siblings.setdefault(place, []).append(each)
    for (name, *_), nets in siblings.items():
        branch = job.branches.get(name)
        if branch is not None and branch.compare is not None:
            before = _before(job, nets, done)
            supplied = _drawn(job, store, branch, nets, before)
            named = [each.facts["digest"] for each in [*nets, *([] if before is None else [before])]]
            science = [mask_key(job, nets[0].ticket.level, before.ticket.level)] if before and supplied else []
            key = short([describe(branch.compare), named, before is not None, *science])
            make = partial(_measure, job, partial(branch.compare, **supplied), recipe, nets, before, callback)
            columns = store.compared(nets, key, make)
            yield from ((each, _named(columns.get(each.facts["digest"], {}))) for each in nets)


def _named(columns: Columns) -> Columns:
    """Columns of a user's own comparison are outcomes by their names too, whatever they are called."""
    return {name if name in COMPARED else f"{OWN}{name}": value for name, value in columns.items()}


def _drawn(job: Job, store: Store, branch: Branch, nets: Sequence[Trained], before: Trained | None) -> dict[str, Drawn]:
    """The keyword `drawn`, to a comparison that has it."""
    if before is None or not takes(branch.compare, "drawn"):
        return {}
    return {"drawn": drawn_before(job, store, branch, before, nets[0].ticket.level)}


def _before(job: Job, nets: Sequence[Trained], done: Sequence[Trained]) -> Trained | None:
    """The net of the main line that the mask of these was pruned from; at level 0 the one there, unless it is one of
    them. None with a start, since no net of this job was pruned.
    """
    if job.start is not None:
        return None
    level, replicate = nets[0].ticket.level, nets[0].ticket.replicate
    parent = job.ladder.parents.get(level, level)
    found = [t for t in done if (t.ticket.branch, t.ticket.replicate) == ("ticket", replicate)]
    digests = {each.facts["digest"] for each in nets}
    return next((t for t in found if t.ticket.level == parent and t.facts["digest"] not in digests), None)


def _measure(
    job: Job, compare: Any, recipe: Recipe, nets: Sequence[Trained], before: Trained | None, callback: Callback
) -> dict[str, Columns]:
    kept = {name: torch.stack([each.mask[name] for each in nets]).any(0) for name in nets[0].mask}
    parts, first = count(), nets[0].ticket
    with on_processor(recipe.threads), seeded("compare", first.branch, first.replicate, first.level):
        rows = compare(
            recipe.net(),
            [each.weights() for each in nets],
            kept,
            recipe.data,
            recipe.task,
            before=None if before is None else before.weights(),
            device="cuda" if on_cuda(job.device) else "cpu",
            tick=lambda: callback.compared(first, len(nets), next(parts)),
        )
    if not isinstance(rows, list) or len(rows) != len(nets) or not all(isinstance(row, Mapping) for row in rows):
        name, given = nets[0].ticket.branch, repr(rows)[:40]
        raise UserError(f"branch.{name}.compare gave {given}: it must return a list, for each net the columns")
    return {each.facts["digest"]: row for each, row in zip(nets, rows, strict=True)}
