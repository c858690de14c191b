"""State of a training between two steps, as flat tensors: what an interrupted training resumes from."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lth.engine import generators
from lth.engine.kernel.replace import packed_weights
from lth.engine.loop import Loop
from lth.weights import load as load_weights

if TYPE_CHECKING:
    from lth.engine.kernel.linear import SparseLinear

State = Mapping[str, Tensor]


def state_of(loop: Loop) -> State:
    """Everything that training resumes from, copied."""
    loop.stepper.store()
    slots = loop.optimizer.state_dict()["state"]
    return {
        "step": torch.tensor(loop.step),
        "usage": loop.usage.state(),
        **generators.current(loop.device),
        "losses": torch.hstack(loop.losses).cpu() if loop.losses else torch.empty(0),
        "curve": torch.tensor(loop.curve, dtype=torch.float64),
        **loop.masking.state(),
        **{f"weights/{name}": value for name, value in loop.weights().items()},
        **{f"kept/{k}/{name}": value for k, kept in loop.kept.items() for name, value in kept.items()},
        **{f"slot/{i}/{key}": _whole(loop, i, v).detach().cpu().clone() for i, slot in slots.items()
           for key, v in slot.items() if v is not None},
    }  # fmt: skip


def load(loop: Loop, state: State) -> None:
    """Put a loop that has started into this state."""
    loop.step = int(state["step"])
    loop.usage.load(state["usage"])
    loop.losses = list(state["losses"].to(loop.device))
    loop.curve = state["curve"].tolist()
    load_weights(loop.net, packed_weights(part(state, "weights/"), loop.packed))
    loop.masking.load(state["macs"], part(state, "mask/"))
    loop.kept.update(numbered(state, "kept/"))
    slots = {
        index: {name: _fitting(loop, index, value) for name, value in slot.items()}
        for index, slot in numbered(state, "slot/").items()
    }
    loop.optimizer.load_state_dict({"state": slots, "param_groups": loop.optimizer.state_dict()["param_groups"]})
    loop.resume()
    generators.restore(state, loop.device)


def _whole(loop: Loop, index: int, value: Tensor) -> Tensor:
    """A moment of a parameter in the shape of its layer's weight, so that any kernel can go on from it."""
    layer, parameter = _layer(loop, index)
    return layer.unpack(value) if layer and value.shape == parameter.shape else value


def _fitting(loop: Loop, index: int, value: Tensor) -> Tensor:
    """Inverse of `_whole`."""
    layer, _ = _layer(loop, index)
    return layer.pack(value) if layer and value.shape == layer.shape else value


def _layer(loop: Loop, index: int) -> tuple["SparseLinear | None", Tensor]:
    """The sparse layer of a parameter of the optimizer, or None."""
    parameter: Tensor = [p for group in loop.optimizer.param_groups for p in group["params"]][index]
    return next((layer for layer in loop.packed.values() if layer.weight is parameter), None), parameter


def part(state: State, prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with the prefix, copied, without it."""
    return {key.removeprefix(prefix): value.clone() for key, value in state.items() if key.startswith(prefix)}


def numbered(state: State, prefix: str) -> dict[int, dict[str, Tensor]]:
    """The tensors whose names begin with the prefix and a number, copied, by number and by the rest of the name."""
    found: dict[int, dict[str, Tensor]] = {}
    for key, value in part(state, prefix).items():
        number, name = key.split("/", 1)
        found.setdefault(int(number), {})[name] = value
    return found
