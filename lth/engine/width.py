"""Width of stacks: the tickets that are trained side by side."""

from collections.abc import Iterator, Mapping, Sequence

import torch

from lth import UserError
from lth.engine.graph import say_once
from lth.engine.obstacle import bound_to_one, obstacle, unmappable
from lth.engine.passes import IN_TURN, TOGETHER, Passes
from lth.engine.state import State
from lth.layer import CONVOLUTIONS, has
from lth.recipe import Recipe
from lth.ticket import Ticket

# Tickets that width=auto puts side by side on CUDA: convolutions fill a device with few.
AUTO, AUTO_CONV = 256, 16
# Share of the device's memory that weights, gradients and moments of a stack may take.
SHARE = 0.25

Width = int | str


def groups(
    tickets: Sequence[Ticket], recipe: Recipe, states: Mapping[Ticket, State], device: str, width: Width
) -> Iterator[list[Ticket]]:
    """Lists of tickets that are trained side by side: at the same step, with weights of equal shapes, at most `width`
    of them, about as many in each; "auto" is 1 except on CUDA.
    """
    most = widest(recipe, device, width) if len(tickets) > 1 else 1
    alike: dict[object, list[Ticket]] = {}
    for ticket in tickets:
        step = int(states[ticket]["step"]) if ticket in states else None
        shapes = tuple((name, weight.shape, weight.dtype) for name, weight in ticket.weights.items())
        alike.setdefault((ticket.step, step, shapes), []).append(ticket)
    for each in alike.values():
        parts = -(-len(each) // most)
        size = -(-len(each) // parts)
        yield from (each[start : start + size] for start in range(0, len(each), size))


def is_stack(tickets: Sequence[Ticket], recipe: Recipe, device: str) -> bool:
    """True if tickets of one group are trained as a stack: several, or on CUDA even one, since there a stack's step is
    a graph. An optimizer that may look at whole layers gets them as they are, in the plain loop.
    """
    if len(tickets) > 1 or not on_cuda(device):
        return len(tickets) > 1
    if reason := bound_to_one(recipe):
        say_once(f"training runs without a CUDA graph: {reason}")
    return not reason


def check(width: Width) -> None:
    """Raise UserError unless width is "auto" or a whole number, at least 1."""
    if width != "auto" and not (type(width) is int and width >= 1):
        raise UserError(f"width={width}: give the number of tickets to train side by side, at least 1, or auto")


def passes(recipe: Recipe, tickets: int, *, cuda: bool) -> Passes:
    """Choose how a stack is computed. Convolutions of several nets at once are grouped convolutions, which are slow on
    CUDA, so that there the nets take turns, on several streams.
    """
    turns = tickets == 1 or (cuda and (has(recipe.net(), *CONVOLUTIONS) or unmappable(recipe)))
    return IN_TURN if turns else TOGETHER


def on_cuda(device: str) -> bool:
    """True if Lightning's accelerator of this name is a CUDA device here."""
    return device in ("auto", "gpu", "cuda") and torch.cuda.is_available()


def on_cpu(device: str) -> bool:
    """True if Lightning's accelerator of this name is the CPU here."""
    others = torch.cuda.is_available() or torch.backends.mps.is_available()
    return device == "cpu" or (device == "auto" and not others)


def widest(recipe: Recipe, device: str, width: Width) -> int:
    """Number of tickets that are trained side by side at most. Logs once where one after the other is the only exact
    way.
    """
    check(width)
    most = _auto(recipe, device) if width == "auto" else int(width)
    if most == 1:
        return 1
    if reason := obstacle(recipe) or ("" if on_cuda(device) else unmappable(recipe)):
        say_once(f"tickets are trained one after the other, not side by side: {reason}")
        return 1
    return most


def _auto(recipe: Recipe, device: str) -> int:
    if not on_cuda(device):
        return 1
    net = recipe.net()
    fitting = SHARE * torch.cuda.get_device_properties(0).total_memory / (16 * sum(p.numel() for p in net.parameters()))
    return max(1, min(int(fitting), AUTO_CONV if has(net, *CONVOLUTIONS) else AUTO))
