"""Transfer: the ticket of one recipe as the start of another, with other data or optimizer (Morcos et al. 2019).

All of the source's state goes along: the mask, W_k with the statistics of batch norm, and k. The new recipe's data set
is scaled by its own statistics, so that the inputs of the same net have other means than in the source.
"""

from collections.abc import Callable
from dataclasses import replace

from torch import nn

from lth import UserError
from lth.imp import dense
from lth.layer import bias_of
from lth.recipe import Recipe
from lth.ticket import Ticket, Weights
from lth.weights import weights_of


def transferred(ticket: Ticket, *, source: Recipe, recipe: Recipe, init: Callable[[nn.Module, int], Weights]) -> Ticket:
    """The ticket of `source` as one of `recipe`: the same mask, weights and step.

    For another number of outputs the layer that gives them begins as in a dense net of `recipe`: drawn by `init`, and
    all of it kept, since a mask found for other outputs says nothing of these, and a random one would add a choice.
    """
    check_step(ticket.step, recipe)
    names = head(source, recipe)
    own = dense(recipe, init, ticket.replicate) if names else ticket
    weights = {**ticket.weights, **{name: own.weights[name] for name in names}}
    mask = {**ticket.mask, **{name: own.mask[name] for name in names if name in ticket.mask}}
    return replace(ticket, weights=weights, mask=mask)


def head(source: Recipe, recipe: Recipe) -> list[str]:
    """Tensors of the layer that gives the outputs, if their number differs; none if all tensors have the same shape.
    Raises UserError if any other tensor differs.
    """
    theirs, own = weights_of(source.net()), weights_of(recipe.net())
    if missing := sorted(theirs.keys() ^ own.keys()) or sorted(source.layers.kinds.keys() ^ recipe.layers.kinds.keys()):
        where = "there" if missing[0] in theirs else "here"
        raise UserError(f"start: the nets differ ({missing[0]} is only {where}): take the same model for both runs")
    other = {name for name in own if (own[name].shape, own[name].dtype) != (theirs[name].shape, theirs[name].dtype)}
    names = [name for name in own if other and _is_head(name, recipe)]
    wrong = sorted(name for name in other if name not in names or own[name].shape[1:] != theirs[name].shape[1:])
    if wrong or (other and source.data.outputs == recipe.data.outputs):
        name, (a, b) = (wrong or sorted(other))[0], (source.data.shape, recipe.data.shape)
        inputs = f", for inputs of {_size(a)} there and {_size(b)} here" if a != b else ""
        raise UserError(
            f"start: {name} is {_size(theirs[name].shape)} there and {_size(own[name].shape)} here{inputs}: a ticket "
            "fits nets of the same layers, but for the number of outputs (data.size gives images another size)"
        )
    return names


def check_step(step: int, recipe: Recipe) -> None:
    """Raise UserError for a ticket that begins after training has ended."""
    if step > recipe.steps:
        raise UserError(f"start: tickets begin at step {step}, and training here has {recipe.steps} steps: give more "
                        "steps, or rewind to an earlier one")  # fmt: skip


def _is_head(name: str, recipe: Recipe) -> bool:
    """True for a tensor of a layer that gives the outputs."""
    outputs = [bias_of(weight).removesuffix("bias") for weight, kind in recipe.layers.kinds.items() if kind == "output"]
    return any(name.startswith(prefix) for prefix in outputs)


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "1"
