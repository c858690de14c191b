"""Linear layers that hold and compute kept weights only, for use in any net."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from lth.engine.kernel import compiled, packed
from lth.engine.kernel.block import announce


class SparseLinear(nn.Module):
    """Replacement of an `nn.Linear` on kept weights. weight: its kept values, in order of their place, 1-dimensional;
    bias: the same parameter as before. mask: out x in.
    """

    def __init__(self, layer: nn.Linear, mask: Tensor) -> None:
        super().__init__()
        announce(compiled.linear)
        self.places, self.shape = packed.places_of(mask), mask.shape
        self.weight, self.bias = nn.Parameter(self.pack(layer.weight.detach())), layer.bias
        self.net = packed.net([layer], [self.places])
        self.back = packed.columns(self.places, layer.in_features)

    def forward(self, x: Tensor) -> Tensor:
        """... x in -> ... x out, in the type of the weights."""
        outputs: Tensor = _Product.apply(x, self.weight, self.bias, self)
        return outputs

    def pack(self, dense: Tensor) -> Tensor:
        """Kept values of a tensor of the shape of the mask."""
        return dense[self.places].clone()

    def unpack(self, values: Tensor) -> Tensor:
        """The tensor of these values, 0 elsewhere."""
        dense = values.new_zeros(self.shape)
        dense[self.places] = values
        return dense


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, layer: SparseLinear) -> Tensor:
        rows, features = layer.shape
        inputs = x.detach().to(weight.dtype).reshape(-1, features).contiguous()
        tiles = inputs.new_empty(-(-len(inputs) // compiled.LANES), features * compiled.LANES)
        compiled.lay_out(inputs.numpy(), tiles.numpy())
        outputs = tiles.new_empty(len(tiles), rows * compiled.LANES)
        shift = weight.new_zeros(rows) if bias is None else bias.detach()
        compiled.linear(layer.net, weight.detach().numpy(), shift.numpy(), tiles.numpy(), outputs.numpy())
        ctx.save_for_backward(tiles, weight)
        ctx.layer, ctx.shape, ctx.type, ctx.biased = layer, x.shape, x.dtype, bias is not None
        return _examples(outputs, rows, len(inputs)).reshape(*x.shape[:-1], rows)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (tiles, weight), layer = ctx.saved_tensors, ctx.layer
        rows, features = layer.shape
        flat = gradient.to(weight.dtype).reshape(-1, rows).contiguous()
        deltas = flat.new_empty(len(tiles), rows * compiled.LANES)
        compiled.lay_out(flat.numpy(), deltas.numpy())
        back = tiles.new_empty(len(tiles) if ctx.needs_input_grad[0] else 0, features * compiled.LANES)
        own, shift = torch.zeros_like(weight), weight.new_zeros(rows)
        values = weight.detach().numpy()
        arrays = [each.numpy() for each in (tiles, deltas, back, own, shift)]
        compiled.linear_back(layer.net, layer.back, values, *arrays)
        inputs = (
            _examples(back, features, len(flat)).reshape(ctx.shape).to(ctx.type) if ctx.needs_input_grad[0] else None
        )
        return inputs, own, shift if ctx.biased else None, None


def _examples(tiles: Tensor, units: int, count: int) -> Tensor:
    """Tiles of units x 64 examples -> examples x units."""
    return tiles.view(len(tiles), units, compiled.LANES).transpose(1, 2).reshape(-1, units)[:count].contiguous()
