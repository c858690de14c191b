"""The branches of a job tried out before anything is trained, so that one that can't be is refused at once."""

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, partial

import pandas as pd
import torch

from lth import UserError
from lth.data import limited
from lth.early_bird import Drawn
from lth.engine.kernel.choice import chosen
from lth.engine.kernel.replace import sparse_layers
from lth.engine.width import on_cpu
from lth.imp import dense, stay, untrained
from lth.job.branch import Branch, Past
from lth.job.values import Job
from lth.recipe import Recipe
from lth.schedule import rungs
from lth.seed import undisturbed
from lth.ticket import Mask, Ticket, Trained, masked

log = logging.getLogger("lth")
EXAMPLES = 8  # of each split
EPOCHS = 2  # of the training before, for branches that look at its masks


def rehearse(job: Job) -> None:
    """Let every branch off a stand-in for the first net of each kind that it branches from, and make its net. Raises
    UserError if one can't treat the net or its settings, and what a mistake in its code raises; other errors count
    after training, of which a branch may need something.
    """
    if not job.branches:
        return
    line, small = cache(partial(_line, job, dense(job.recipe, job.init, job.replicates[0]))), _small(job)
    for name, branch in job.branches.items():
        for level in _first_levels(job, branch):
            try:
                with undisturbed(), silent():
                    _try_out(name, replace(branch, draws=1), small, line(level), branch.epochs(job.recipe)[:EPOCHS])
            except (UserError, AttributeError, NameError, TypeError):
                raise
            except (Exception, SystemExit) as error:
                log.debug("branch=%s can't be tried on an untrained net: %s", name, error)


def _small(job: Job) -> Job:
    """The job on few examples, with the same net, which is not traced again."""
    recipe = replace(job.recipe, data=limited(job.recipe.data, EXAMPLES))
    vars(recipe)["layers"] = job.recipe.layers
    return replace(job, recipe=recipe, branches={})


def _first_levels(job: Job, branch: Branch) -> list[int]:
    """The first level of each kind that branches off: the dense one, one that is pruned before it is trained and starts
    as the dense one does, one that is pruned from a trained net and rewound.
    """
    parents, first = job.ladder.parents, dict[tuple[bool, bool], int]()
    for level in rungs(job.levels):
        if level >= job.train_from and branch.at(level):
            first.setdefault((level == 0, parents.get(level, 0) < job.train_from), level)
    return [*first.values()]


def _try_out(name: str, branch: Branch, job: Job, line: list[Trained], epochs: Sequence[int]) -> None:
    for recipe, ticket in tickets(name, branch, job, line, epochs):
        if recipe.model is not job.recipe.model or recipe.kernel == "sparse":
            net = recipe.net()
            if recipe.kernel == "sparse" and on_cpu(job.device) and not sparse_layers(net, recipe, ticket.mask):
                chosen(recipe, net, recipe.optimizer(net.parameters()), ticket.mask, torch.device("cpu"))


def tickets(
    name: str, branch: Branch, job: Job, line: list[Trained], epochs: Sequence[int] = ()
) -> Iterator[tuple[Recipe, Ticket]]:
    """Tickets that branch off the last of a line of stand-ins, whose mask is every one that the branch may ask for."""
    last, layers = line[-1].ticket, list(job.recipe.layers.kinds)
    drawn = Drawn(epochs, lambda _: last.mask, layers, units=False)
    return branch.tickets(name, Past(line, lambda *_: last, lambda: drawn), job)


def _line(job: Job, start: Ticket, level: int) -> list[Trained]:
    """Stand-ins for the dense net and, above level 0, for the net that the one at `level` is pruned from, and for that
    one, pruned from behind; as far as they are trained, untrained ones with the steps of a training.
    """
    if level == 0:
        return [_stand_in(start, job.recipe)]
    recipe, parent = (job.start or job).recipe, job.ladder.parents.get(level, 0)
    first, before = (
        (untrained if job.is_early(ticket) else partial(_stand_in, recipe=recipe))(ticket)
        for ticket in (start, replace(start, level=parent))
    )
    weights, step = (stay if job.is_early(before.ticket) else job.rewind)(before)
    shares = {layer: job.ladder.density(level, kind) for layer, kind in job.recipe.layers.kinds.items()}
    ticket = replace(start, weights=weights, mask=_pruned(start.mask, shares), step=step, level=level)
    return [*([first] if parent else []), before, _stand_in(ticket, job.recipe_of(ticket))]


@contextmanager
def silent() -> Iterator[None]:
    """Drop log messages; whoever runs the job afterwards gives them again."""
    before, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = before


def _stand_in(ticket: Ticket, recipe: Recipe) -> Trained:
    evaluations = pd.DataFrame(columns=list(recipe.task.columns), dtype="float64")
    return Trained(ticket, evaluations, lambda _: masked(ticket.weights, ticket.mask), recipe.steps, ticket.mask)


def _pruned(mask: Mask, share: Mapping[str, float]) -> Mask:
    return {name: (torch.arange(m.numel()) < math.ceil(share[name] * m.numel())).view_as(m) for name, m in mask.items()}
