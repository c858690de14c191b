"""Tickets that are drawn early in a training (You et al. 2020)."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Literal

from lth import UserError
from lth.branch.control import Init
from lth.branch.steps import trains
from lth.early_bird import Drawn, distance, settled
from lth.recipe import Recipe
from lth.seed import seed
from lth.ticket import Ticket, Trained
from lth.weights import initial

log = logging.getLogger("lth")
Start = Literal["weights", "reinitialize"]


@trains(
    lambda start, end, given: end if given["start"] == "reinitialize" else end - start,
    lambda given: "at most " if given["start"] == "weights" else "",
)
def early_bird(
    trained: Trained,
    *,
    draw: int,
    recipe: Recipe,
    init: Init,
    drawn: Drawn,
    line: Sequence[Trained],
    every: int | None = None,
    queue: int = 5,
    threshold: float = 0.1,
    start: Start = "weights",
) -> tuple[Recipe, Ticket]:
    """The ticket of this level, drawn as soon as the masks of consecutive epochs have settled in the training that it
    is pruned from: where the last `queue` distances are all below `threshold`. A distance is the share of weights in
    which two masks differ; with structure=neuron, of the outputs of all layers that lose some.

    every: steps of an epoch, at whose ends masks are `drawn`; None: as many as see all examples once. start: "weights",
    the ticket is trained on from where it is drawn (every draw is the same), or "reinitialize", from step 0 with a
    fresh draw of `init`. If masks do not settle, that of the last epoch is taken, and the log says so. line: the
    trained tickets from the dense net to this one.
    """
    if queue < 1:
        raise UserError(f"queue={queue}: give the number of distances that are compared, at least 1")
    if not drawn.steps:
        raise UserError(f"branch=early_bird: no epoch ends in the training that {trained.ticket} is pruned from")
    ticket, number = trained.ticket, settled(_distances(drawn), queue=queue, threshold=threshold)
    if number is None:
        log.warning("%s: masks of %d epochs do not settle, the last is taken", ticket, len(drawn.steps))
    step = drawn.steps[-1 if number is None else number]
    new = replace(ticket, mask=drawn.mask(step))
    if start == "weights":
        return recipe, replace(new, weights=line[-2].at(step), step=step)
    key = seed("early_bird", ticket.replicate, ticket.level, draw)
    return recipe, replace(new, weights=initial(init, recipe.net(key), key), step=0)


def _distances(drawn: Drawn) -> Iterator[float]:
    """Distances of the masks of consecutive epochs, each drawn when it is asked for."""
    return (distance(one, other) for one, other in pairwise(drawn.bits(step) for step in drawn.steps))
