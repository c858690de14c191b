"""Storage size of quantized nets."""

import math
from collections.abc import Mapping

from torch import Tensor, nn

from lth.quantization.layer import Quantized
from lth.quantization.left import INPUTS
from lth.quantization.net import layers
from lth.ticket import Mask

NONE: Mapping[str, str] = {}


def size(net: nn.Module, mask: Mask, left: Mapping[str, str] = NONE) -> int:
    """Bytes of m * W: kept weights of quantized layers packed, their positions at the entropy of the mask, 4 bytes for
    each scale and, if affine, one for each zero point; all other floats at 4 bytes. left: `left_in_float` of the net.
    An estimate without a file format; `lth.compress.codec` has one.
    """
    packed = [layer for name, layer in layers(net) if left.get(name, INPUTS) == INPUTS]
    own = {id(t) for layer in packed for t in (layer.weight, layer.weight_share)}
    floats = [t for t in (*net.parameters(), *net.buffers()) if t.is_floating_point() and id(t) not in own]
    return sum(_packed(layer, mask.get(layer.name)) for layer in packed) + 4 * sum(t.numel() for t in floats)


def _packed(layer: Quantized, kept: Tensor | None) -> int:
    scheme, weights = layer.scheme, layer.weight.numel()
    count = weights if kept is None else int(kept.sum())
    places = -(-weights * _entropy(count / weights) // 8)
    if isinstance(scheme.weight_bits, str):
        return int(2 * count + places)
    return int(-(-count * scheme.weight_bits // 8) + places + layer.grids * (4 if scheme.symmetric else 5))


def _entropy(p: float) -> float:
    """Binary entropy of a probability, in bits."""
    return 0.0 if p in (0, 1) else -p * math.log2(p) - (1 - p) * math.log2(1 - p)
