"""The branches of a job tried out before anything is trained, so that one that can't be is refused at once."""

import logging
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace

import pandas as pd
import torch

from lth import UserError
from lth.data import limited
from lth.early_bird import Drawn
from lth.engine.kernel.choice import chosen
from lth.engine.kernel.replace import sparse_layers
from lth.engine.width import on_cpu
from lth.imp import dense
from lth.job.values import Branch, Job
from lth.recipe import Recipe
from lth.schedule import rungs
from lth.ticket import Mask, Ticket, Trained, masked

log = logging.getLogger("lth")
EXAMPLES = 8  # of each split


def rehearse(job: Job) -> None:
    """Let every branch off a stand-in for the first net that it branches from, and make its net. Raises UserError if
    one can't treat the net or its settings, and what a mistake in its code raises; other errors count after training,
    of which a branch may need something.
    """
    if not job.branches:
        return
    start = dense(job.recipe, job.init, job.replicates[0])
    small = replace(job, recipe=replace(job.recipe, data=limited(job.recipe.data, EXAMPLES)), branches={})
    for name, branch in job.branches.items():
        level = next((each for each in rungs(job.levels) if each >= job.train_from and branch.at(each)), None)
        try:
            with torch.random.fork_rng(devices=[]):
                _try_out(name, replace(branch, draws=1), small, [] if level is None else _line(job, start, level))
        except (UserError, AttributeError, NameError, TypeError):
            raise
        except (Exception, SystemExit) as error:
            log.debug("branch=%s can't be tried on an untrained net: %s", name, error)


def _try_out(name: str, branch: Branch, job: Job, line: list[Trained]) -> None:
    for recipe, ticket in tickets(name, branch, job, line) if line else ():
        if recipe.model is not job.recipe.model or recipe.kernel == "sparse":
            net = recipe.net()
            if recipe.kernel == "sparse" and on_cpu(job.device) and not sparse_layers(net, recipe, ticket.mask):
                chosen(recipe, net, recipe.optimizer(net.parameters()), ticket.mask, torch.device("cpu"))


def tickets(name: str, branch: Branch, job: Job, line: list[Trained]) -> Iterator[tuple[Recipe, Ticket]]:
    """Tickets that branch off the last of a line of stand-ins, whose mask is every one that the branch may ask for."""
    last, layers = line[-1].ticket, list(job.recipe.layers.kinds)
    drawn = Drawn(branch.epochs(job.recipe), lambda _: last.mask, layers, units=False)
    return branch.tickets(name, line, job, lambda *_: last, lambda: drawn)


def _line(job: Job, start: Ticket, level: int) -> list[Trained]:
    """Untrained stand-ins for the dense net and, above level 0, for the one at `level`, pruned from behind."""
    first = _stand_in(start, job.recipe)
    if level == 0:
        return [first]
    weights, step = job.rewind(first)
    shares = {layer: job.ladder.density(level, kind) for layer, kind in job.recipe.layers.kinds.items()}
    mask = _pruned(start.mask, shares)
    return [first, _stand_in(replace(start, weights=weights, mask=mask, step=step, level=level), job.recipe)]


def _stand_in(ticket: Ticket, recipe: Recipe) -> Trained:
    evaluations = pd.DataFrame(columns=list(recipe.task.columns), dtype="float64")
    return Trained(ticket, evaluations, lambda _: masked(ticket.weights, ticket.mask), recipe.steps, ticket.mask)


def _pruned(mask: Mask, share: Mapping[str, float]) -> Mask:
    return {name: (torch.arange(m.numel()) < math.ceil(share[name] * m.numel())).view_as(m) for name, m in mask.items()}
