"""State of the random generators that a training draws from: PyTorch's of the CPU and the device, Python's, NumPy's."""

import json
import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lth.seed import seed, start_all, start_host, undisturbed
from lth.ticket import Ticket


def seeded(ticket: Ticket) -> dict[str, Tensor]:
    """State of the generators at the start of a ticket's training, but for the device's."""
    with undisturbed():
        start_host(_seed(ticket))
        return _of_host()


def start(ticket: Ticket) -> None:
    """Seed the generators for a ticket's training, on all devices."""
    start_all(_seed(ticket))


def current(device: torch.device) -> dict[str, Tensor]:
    """State of the generators, as part of a training's state."""
    return {**_of_host(), **_of_device(device)}


def restore(state: Mapping[str, Tensor], device: torch.device) -> None:
    """Set the generators; a state that was saved on another kind of device leaves that of this one as it is seeded."""
    torch.set_rng_state(state["random"])
    if "random/python" in state:  # which earlier versions did not save
        version, numbers, normal = json.loads(bytes(state["random/python"].tolist()))
        random.setstate((version, tuple(numbers), normal))
        np.random.set_state(json.loads(bytes(state["random/numpy"].tolist())))
    saved = state.get(f"random/{device.type}")
    if saved is not None and device.type == "cuda":
        torch.cuda.set_rng_state(saved, device)
    if saved is not None and device.type == "mps":
        torch.mps.set_rng_state(saved)


def _seed(ticket: Ticket) -> int:
    return seed("training", ticket.noise, ticket.step)


def _of_host() -> dict[str, Tensor]:
    numpys: dict[str, Any] = np.random.get_state(legacy=False)
    return {
        "random": torch.get_rng_state(),
        "random/python": _text(random.getstate()),
        "random/numpy": _text({**numpys, "state": {k: np.asarray(v).tolist() for k, v in numpys["state"].items()}}),
    }


def _text(value: Any) -> Tensor:
    """JSON as bytes, in which numbers are exact."""
    return torch.tensor([*json.dumps(value).encode()], dtype=torch.uint8)


def _of_device(device: torch.device) -> dict[str, Tensor]:
    if device.type == "cuda":
        return {"random/cuda": torch.cuda.get_rng_state(device)}
    return {"random/mps": torch.mps.get_rng_state()} if device.type == "mps" else {}
