"""Conv-2, Conv-4 and Conv-6: small VGGs for CIFAR-10 without batch norm (Frankle & Carbin 2019, Figure 2)."""

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from lth import UserError
from lth.model.shape import image

WIDTHS = (64, 128)
HIDDEN = (256, 256)


def conv_2(shape: Sequence[int], classes: int, *, dropout: float = 0.0) -> nn.Module:
    """Two convolutions and three linear layers: 4,300,992 weights on CIFAR-10."""
    return _conv(shape, classes, WIDTHS[:1], dropout)


def conv_4(shape: Sequence[int], classes: int, *, dropout: float = 0.0) -> nn.Module:
    """Four convolutions and three linear layers: 2,425,024 weights on CIFAR-10."""
    return _conv(shape, classes, WIDTHS[:2], dropout)


def conv_6(shape: Sequence[int], classes: int, *, filters: int = 256, dropout: float = 0.0) -> nn.Module:
    """Six convolutions and three linear layers: 2,261,184 weights on CIFAR-10. filters: of the last two convolutions.

    The paper describes 256 filters, but its 1.7M weights and all seven percentages of weights that it prints are those
    of a net with 192 (1,667,264).
    """
    if filters < 1:
        raise UserError(f"model.filters={filters}: give at least 1")
    return _conv(shape, classes, (*WIDTHS, filters), dropout)


def _conv(shape: Sequence[int], classes: int, widths: Sequence[int], dropout: float) -> nn.Module:
    """A block of two 3 x 3 convolutions and 2 x 2 pooling for each width. `dropout` follows the hidden linear layers
    (Srivastava et al. 2014); the paper gives its probability (0.5), not its place.
    """
    channels, height, width = image(shape)
    blocks = len(widths)
    if min(height, width) < 2**blocks:
        raise UserError(f"images of {height} x {width} can't be halved {blocks} times: use a net with fewer blocks")
    layers: list[nn.Module] = []
    for before, after in pairwise([channels, *widths]):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU()]
        layers += [nn.Conv2d(after, after, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    layers.append(nn.Flatten())
    flat = widths[-1] * (height // 2**blocks) * (width // 2**blocks)
    for fan_in, fan_out in pairwise([flat, *HIDDEN]):
        layers += [nn.Linear(fan_in, fan_out), nn.ReLU()] + ([nn.Dropout(dropout)] if dropout else [])
    return nn.Sequential(*layers, nn.Linear(HIDDEN[-1], classes))
