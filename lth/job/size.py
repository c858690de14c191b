"""The least memory that a job takes, found before anything is allocated."""

import math
from functools import partial

from lth import UserError
from lth.data.memory import memory
from lth.keywords import unbound
from lth.recipe import Recipe
from lth.weights import on_meta

FLOAT = 4  # bytes


def check_size(recipe: Recipe) -> None:
    """Raise UserError if the net of lth and a batch do not fit into the memory of this machine.

    The net is built on the device "meta", which allocates nothing; one that can't be built there is not checked.
    """
    weights, batch = _weights(recipe), recipe.batch_size * math.prod(recipe.data.shape)
    least, most = FLOAT * (2 * weights + batch), memory()  # a gradient for each weight
    if least > most:
        raise UserError(
            f"a net of {weights:,} weights and a batch of {recipe.batch_size:,} take {least / 1e9:,.1f} GB at least, "
            f"and this machine has {most / 1e9:,.1f}: choose a smaller model, or a smaller batch_size"
        )


def _weights(recipe: Recipe) -> int:
    """Number of parameters of a net of lth; 0 if it is not known."""
    function, _ = unbound(recipe.model)
    if not str(getattr(function, "__module__", "")).startswith("lth."):
        return 0
    net = on_meta(partial(recipe.model, recipe.data.shape, recipe.data.outputs))
    return 0 if net is None else sum(p.numel() for p in net.parameters())
