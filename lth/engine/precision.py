"""Choice of the fastest precision; `lth speed` repeats the measurement behind it."""

import torch
from torch import nn

from lth.recipe import Precision
from lth.store.environment import cpu_flags

BF16_FLAGS = {"amx_bf16", "avx512_bf16"}


def fastest(net: nn.Module, device: str = "auto") -> Precision:
    """Return "bf16" for a net with convolutions on hardware that multiplies bfloat16, else "fp32".

    device: as for `train`. For small linear layers the conversions cost more than bfloat16 gains.
    """
    if not any(isinstance(layer, nn.Conv2d) for layer in net.modules()):
        return "fp32"
    if device != "cpu" and torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    return "bf16" if BF16_FLAGS & cpu_flags() else "fp32"
