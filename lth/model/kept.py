"""Refusal of nets whose outputs depend on what no file of a training has, or on how often they were evaluated."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lth import UserError
from lth.seed import seeded
from lth.weights import load, weights_of


def check_kept(net: nn.Module, inputs: Tensor) -> None:
    """Raise UserError if passes in training change later outputs by something that is in no state dict, or passes in
    evaluation do by anything. What is computed again in each pass, such as positions, or is only looked at, such as the
    last attention, is none of that. net: is used up.
    """
    saved = {name: value.detach().clone() for name, value in weights_of(net).items()}
    first, other = _outputs(net, inputs, saved), inputs[:1].expand_as(inputs).clone()
    for batches in ((inputs, other), (other,)):  # even and odd numbers of passes, for what alternates
        for batch in batches:
            _passed(net, batch, training=True)
        if _same(first, _outputs(net, inputs, saved)):
            continue
        before = _attributes(net)
        _passed(net, other, training=True)
        after = _attributes(net)
        names = sorted(name for name, value in after.items() if not _is_equal(before.get(name), value))
        hidden = " or ".join(names) or "Something, such as a counter or a generator of random numbers,"
        raise UserError(f"{hidden} of {type(net).__name__} changes in training and is in no state dict: keep it in a "
                        "persistent buffer (register_buffer), which is stored with the weights")  # fmt: skip
    if not _same(first, _outputs(net, inputs, saved, evaluated=other)):
        load(net, saved)
        _passed(net, other, training=False)
        names = [name for name, value in weights_of(net).items() if not _is_equal(value, saved[name])]
        raise UserError(
            f"{type(net).__name__} changes {', '.join(names) or 'something'} whenever it is evaluated, so that its "
            "results would depend on how often that is: change it if self.training"
        )


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
    with seeded("kept"), torch.no_grad():
        outputs: Tensor = net.train(training)(inputs.clone())
    return outputs


def _attributes(net: nn.Module) -> dict[str, Any]:
    """Values that parts of a net have beside their state, by name, such as buffers that are not persistent."""
    stored = {*net.state_dict(keep_vars=True)}
    found: dict[str, Any] = {name: value.clone() for name, value in net.named_buffers() if name not in stored}
    for path, part in net.named_modules():
        for key, value in vars(part).items():
            if key != "training" and not key.startswith("_"):
                name = f"{path}.{key}".removeprefix(".")
                found[name] = value.detach().clone() if isinstance(value, Tensor) else value
    return found


def _same(one: list[Tensor], other: list[Tensor]) -> bool:
    return all(_is_equal(a, b) for a, b in zip(one, other, strict=True))


def _is_equal(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return a.shape == b.shape and torch.allclose(a, b, rtol=0, atol=0, equal_nan=True)
    return a is b or (isinstance(a, int | float | str) and a == b)
