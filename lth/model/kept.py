"""Refusal of nets whose outputs depend on what no file of a training has, or on how often they were evaluated."""

from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lth import UserError
from lth.seed import seeded
from lth.weights import equal, load, weights_of


def check_kept(net: nn.Module, other_net: nn.Module, inputs: Tensor) -> None:
    """Raise UserError if passes change later outputs by something that is in no state dict, or passes in evaluation do
    by anything. What is computed again in each pass, such as positions, or is only looked at, such as the last
    attention, is none of that. Likewise if two nets that the model function made, both of which are used up, are one or
    compute different outputs with the same weights: every training, score and file has a net of its own.
    """
    if net is other_net:
        raise UserError(f"model: the function gives the same {type(net).__name__} whenever it is called, and each "
                        "training needs one of its own: make the net in the function")  # fmt: skip
    saved = {name: value.detach().clone() for name, value in weights_of(net).items()}
    before, first, other = _attributes(net), _outputs(net, inputs, saved), inputs[:1].expand_as(inputs).clone()
    # Numbers of passes that show what alternates, too, whether evaluations count or not.
    for batch in (inputs, other):
        _passed(net, batch, training=True)
    load(net, saved)
    _passed(net, other, training=False)
    after = _attributes(net)
    changed = [name for name, value in weights_of(net).items() if not _is_equal(value, saved[name])]
    name = type(net).__name__
    if not _same(first, _outputs(net, inputs, saved)):
        names = [key for key, value in after.items() if not _is_equal(before.get(key), value)]
        raise UserError(
            f"outputs of {name} depend on what earlier passes left behind{_perhaps(names)}, which is in no state dict: "
            "keep it in persistent buffers (register_buffer) that change in training alone, and draw random numbers "
            "from the global generators of PyTorch, Python or NumPy"
        )
    if changed and not _same(first, _outputs(net, inputs, saved, evaluated=other)):
        raise UserError(
            f"{name} changes {', '.join(changed)} whenever it is evaluated, so that its results would depend on how "
            "often that is: change it if self.training"
        )
    theirs = _attributes(other_net)
    if not _same(first, _outputs(other_net, inputs, saved)):
        tensors = [key for key, value in before.items() if isinstance(value, Tensor)]
        names = [key for key in tensors if not _is_equal(before[key], theirs.get(key))]
        raise UserError(
            f"model: two calls of the function give nets of {name} that compute different outputs with the same weights"
            f"{_perhaps(names)}, so that no training could be read again: keep what it draws or counts in persistent "
            "buffers (register_buffer), or draw it from a generator with a fixed seed"
        )


def _perhaps(names: Collection[str]) -> str:
    return f" (perhaps {' or '.join(sorted(names))})" if names else ""


def _outputs(
    net: nn.Module, inputs: Tensor, saved: Mapping[str, Tensor], evaluated: Tensor | None = None
) -> list[Tensor]:
    """Outputs in evaluation and in training of the net as it was saved. evaluated: inputs of an evaluation before."""
    found = []
    for training in (False, True):
        load(net, saved)
        if evaluated is not None:
            _passed(net, evaluated, training=False)
        found.append(_passed(net, inputs, training=training))
    return found


def _passed(net: nn.Module, inputs: Tensor, *, training: bool) -> Tensor:
    """Outputs of a pass, of the same randomness in each."""
    with seeded("kept"), torch.set_grad_enabled(training):
        outputs: Tensor = net.train(training)(inputs.clone())
    return outputs.detach()


def _attributes(net: nn.Module) -> dict[str, Any]:
    """Values that parts of a net have beside their state, by name, such as buffers that are not persistent."""
    stored = {*net.state_dict(keep_vars=True)}
    found: dict[str, Any] = {name: value.clone() for name, value in net.named_buffers() if name not in stored}
    for path, part in net.named_modules():
        for key in vars(part).keys() - vars(nn.Module()).keys():
            value = vars(part)[key]
            found[f"{path}.{key}".removeprefix(".")] = value.detach().clone() if isinstance(value, Tensor) else value
    return found


def _same(one: list[Tensor], other: list[Tensor]) -> bool:
    return all(_is_equal(a, b) for a, b in zip(one, other, strict=True))


def _is_equal(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return equal(a, b)
    return a is b or (isinstance(a, int | float | str) and a == b)
