"""Results by layer: weights, masks and scores, beside those that they must match."""

from collections.abc import Mapping
from numbers import Real
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from lth import UserError


class Role(Protocol):
    """A function in a role; its text names both."""

    def wrong(self, given: str, expected: str) -> UserError:
        """Error for a result."""


def kind(value: Any) -> str:
    """A value in words."""
    if isinstance(value, Tensor | np.ndarray):
        return f"an array of {str(value.dtype).removeprefix('torch.')}, shape {tuple(value.shape)}"
    if value is None or isinstance(value, bool | Real | str):
        return repr(value)
    return f"a value of type {type(value).__name__}"


def check_weights(guard: Role, weights: Any, like: Mapping[str, Tensor]) -> None:
    """Raise UserError unless these are weights of the same names, shapes and types as others."""
    check_tensors(guard, weights, like, "weights")
    for name, old in like.items():
        if weights[name].dtype != old.dtype:
            raise guard.wrong(f"{kind(weights[name])} for {name}", f"its type is {old.dtype}".replace("torch.", ""))


def check_mask(guard: Role, mask: Any, like: Mapping[str, Tensor]) -> None:
    """Raise UserError unless this is a mask of the same names and shapes as another."""
    check_tensors(guard, mask, like, "mask")
    for name in like:
        if mask[name].dtype != torch.bool:
            raise guard.wrong(f"{kind(mask[name])} for {name}", "a mask is of bool, True where a weight is kept")


def check_tensors(guard: Role, values: Any, like: Mapping[str, Tensor], what: str) -> None:
    """Raise UserError unless there is a tensor of the same shape for each of these."""
    check_named(guard, values, like, what)
    for name, old in like.items():
        value = values[name]
        if not isinstance(value, Tensor) or value.shape != old.shape:
            raise guard.wrong(f"{kind(value)} for {name}", f"a tensor of shape {tuple(old.shape)} is needed")
        if value.layout is not torch.strided or value.is_meta:
            how = "on the meta device" if value.is_meta else str(value.layout).removeprefix("torch.")
            raise guard.wrong(f"{kind(value)}, {how}, for {name}", "a dense tensor with values is needed (to_dense)")


def check_named(guard: Role, values: Any, like: Mapping[str, Tensor], what: str) -> None:
    """Raise UserError unless there is a value for each of these names."""
    if not isinstance(values, Mapping):
        raise guard.wrong(kind(values), f"it must return {what} by name: {', '.join(like)}")
    if missing := [name for name in like if name not in values]:
        raise guard.wrong(f"no {what} for {', '.join(missing)}", f"it must for each of {', '.join(like)}")
