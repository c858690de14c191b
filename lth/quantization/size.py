"""Storage size of quantized nets."""

import math

from torch import Tensor, nn

from lth.quantization.layer import Quantized, layers
from lth.ticket import Mask


def size(net: nn.Module, mask: Mask) -> int:
    """Bytes of m * W: kept weights of quantized layers packed, their positions at the entropy of the mask, 4 bytes for
    each scale and, if affine, one for each zero point; all other floats at 4 bytes. An estimate without a file format;
    `lth.compress.codec` has one.
    """
    own = {id(t) for _, layer in layers(net) for t in (layer.weight, layer.weight_share)}
    floats = [t for t in (*net.parameters(), *net.buffers()) if t.is_floating_point() and id(t) not in own]
    packed = (_packed(layer, mask[f"{name}.weight" if name else "weight"]) for name, layer in layers(net))
    return sum(packed) + 4 * sum(t.numel() for t in floats)


def _packed(layer: Quantized, kept: Tensor) -> int:
    scheme, count = layer.scheme, int(kept.sum())
    places = -(-kept.numel() * _entropy(count / kept.numel()) // 8)
    if isinstance(scheme.weight_bits, str):
        return int(2 * count + places)
    grids = layer.weight.shape[0] if scheme.per_channel else 1
    return int(-(-count * scheme.weight_bits // 8) + places + grids * (4 if scheme.symmetric else 5))


def _entropy(p: float) -> float:
    """Binary entropy of a probability, in bits."""
    return 0.0 if p in (0, 1) else -p * math.log2(p) - (1 - p) * math.log2(1 - p)
