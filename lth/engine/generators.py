"""State of the random generators that a training draws from: the CPU's and the device's."""

from collections.abc import Mapping

import torch
from torch import Tensor

from lth.seed import generator, seed
from lth.ticket import Ticket


def seeded(ticket: Ticket) -> dict[str, Tensor]:
    """State of the CPU's generator at the start of a ticket's training."""
    return {"random": generator("training", ticket.noise, ticket.step).get_state()}


def start(ticket: Ticket) -> None:
    """Seed the generators of all devices for a ticket's training."""
    torch.manual_seed(seed("training", ticket.noise, ticket.step))


def current(device: torch.device) -> dict[str, Tensor]:
    """State of the generators, as part of a training's state."""
    return {"random": torch.get_rng_state(), **_of_device(device)}


def restore(state: Mapping[str, Tensor], device: torch.device) -> None:
    """Set the generators; a state that was saved on another kind of device leaves that of this one as it is seeded."""
    torch.set_rng_state(state["random"])
    saved = state.get(f"random/{device.type}")
    if saved is not None and device.type == "cuda":
        torch.cuda.set_rng_state(saved, device)
    if saved is not None and device.type == "mps":
        torch.mps.set_rng_state(saved)


def _of_device(device: torch.device) -> dict[str, Tensor]:
    if device.type == "cuda":
        return {"random/cuda": torch.cuda.get_rng_state(device)}
    return {"random/mps": torch.mps.get_rng_state()} if device.type == "mps" else {}
