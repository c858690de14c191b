"""Linear layers of a stack: batched products whose weight gradients come out in the layout of the weights.

`torch.func.vmap` of `nn.functional.linear` gives them transposed, and turning them around takes as long as a third of
the optimizer's step.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.overrides import TorchFunctionMode


class StackedLinear(TorchFunctionMode):
    """Context in which linear layers under `vmap` take the products below."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func is not torch.nn.functional.linear:
            return func(*args, **(kwargs or {}))
        return _linear(*args, **(kwargs or {}))


def _linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:  # noqa: A002
    x, kind = input, input.device.type
    if torch.is_autocast_enabled(kind):
        low = torch.get_autocast_dtype(kind)
        x, weight, bias = x.to(low), weight.to(low), None if bias is None else bias.to(low)
    with torch.autocast(kind, enabled=False):
        return _Linear.apply(x, weight, bias)  # type: ignore[no-any-return]


class _Linear(Function):
    """One linear layer; under `vmap` over its weights, all of them."""

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return torch.nn.functional.linear(x, weight, bias)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        pass  # only the stacked product is ever differentiated

    @staticmethod
    def vmap(
        info: Any, dims: tuple[int | None, ...], x: Tensor, weight: Tensor, bias: Tensor | None
    ) -> tuple[Tensor, int]:
        x, weight = (_first(each, dim, info.batch_size) for each, dim in zip((x, weight), dims, strict=False))
        bias = None if bias is None else _first(bias, dims[2], info.batch_size)
        out: Tensor = _Stacked.apply(x.reshape(len(x), -1, x.shape[-1]), weight, bias)
        return out.view(*x.shape[:-1], weight.shape[1]), 0


class _Stacked(Function):
    """R x B x in, R x out x in, R x out or None -> R x B x out."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return torch.bmm(x, weight.mT) if bias is None else torch.baddbmm(bias[:, None], x, weight.mT)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        of_x, of_weight, of_bias = ctx.needs_input_grad
        return (
            torch.bmm(gradient, weight) if of_x else None,
            torch.bmm(gradient.mT, x) if of_weight else None,
            gradient.sum(1) if of_bias else None,
        )


def _first(tensor: Tensor, dim: int | None, size: int) -> Tensor:
    return tensor.expand(size, *tensor.shape) if dim is None else tensor.movedim(dim, 0)
