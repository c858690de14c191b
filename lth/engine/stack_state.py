"""State of the trainings of a stack: each can be resumed alone, or in another stack."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from lth.engine import generators
from lth.engine.rates import SHARED
from lth.engine.stack import Stack
from lth.engine.state import State, numbered
from lth.engine.usage import Usage
from lth.ticket import Ticket


def states_of(stack: Stack) -> Iterator[tuple[Ticket, State]]:
    """Every ticket and its state, as `state.state_of` gives it for a ticket that is trained alone."""
    slots = {key: slot.detach().cpu() for key, slot in _slots(stack)}
    losses = torch.cat(stack.losses).cpu() if stack.losses else torch.empty(0, len(stack.tickets))
    for r, (ticket, weights) in enumerate(zip(stack.tickets, stack.net.state_dicts(), strict=True)):
        yield (
            ticket,
            {
                "step": torch.tensor(stack.step),
                "usage": usage_of(stack, r).state(),
                **_random(stack, r),
                "losses": losses[:, r].clone(),
                "curve": torch.tensor(stack.curves[r], dtype=torch.float64),
                **stack.masking.of[r].state(),
                **{f"weights/{name}": value for name, value in weights.items()},
                **{f"kept/{k}/{name}": value for k, kept in stack.kept[r].items() for name, value in kept.items()},
                **{
                    f"slot/{key}": (slot if _is_shared(key) else slot[r]).clone(memory_format=torch.contiguous_format)
                    for key, slot in slots.items()
                },
            },
        )


def usage_of(stack: Stack, number: int) -> Usage:
    """Usage of one training: its share of the stack's, after what it had used before."""
    own, saved = Usage(stack.usage.meter), stack.saved[number]
    if saved is not None:
        own.load(saved["usage"])
    share = stack.usage.state()[:3] / len(stack.tickets)
    own.totals = [a + b for a, b in zip(own.totals, share.tolist(), strict=True)]
    return own


def load(stack: Stack) -> None:
    """Put a stack that has started into the states it was made with; its weights and masks are theirs already."""
    saved = [state for state in stack.saved if state is not None]
    if not saved:
        return
    if len(saved) == 1:
        generators.restore(saved[0], stack.device)
    stack.losses = [torch.stack([state["losses"] for state in saved], 1).to(stack.device)]
    for number, state in enumerate(saved):
        stack.curves[number] = state["curve"].tolist()
        stack.kept[number].update(numbered(state, "kept/"))
    _load_slots(stack, [numbered(state, "slot/") for state in saved])


def _slots(stack: Stack) -> Iterator[tuple[str, Tensor]]:
    """The optimizer's slots by parameter number and name: R x shape, or one number for all."""
    for number, slots in stack.optimizer.state_dict()["state"].items():
        for name, slot in slots.items():
            if slot is not None:
                yield f"{number}/{name}", slot if name in SHARED else stack.masking.packing.unpack(number, slot)


def _load_slots(stack: Stack, saved: list[dict[int, dict[str, Tensor]]]) -> None:
    pack = stack.masking.packing.pack
    slots = {
        number: {
            name: value if name in SHARED else pack(number, torch.stack([each[number][name] for each in saved]))
            for name, value in slot.items()
        }
        for number, slot in saved[0].items()
    }
    stack.optimizer.load_state_dict({"state": slots, "param_groups": stack.optimizer.state_dict()["param_groups"]})
    stack.rates.bind()


def _is_shared(key: str) -> bool:
    return key.partition("/")[2] in SHARED


def _random(stack: Stack, number: int) -> Mapping[str, Tensor]:
    """Only the training of a net alone draws from the generators (see `width.py`)."""
    if len(stack.tickets) == 1:
        return generators.current(stack.device)
    saved = stack.saved[number]
    if saved is None:
        return generators.seeded(stack.tickets[number])
    return {name: value for name, value in saved.items() if name.partition("/")[0] == "random"}
