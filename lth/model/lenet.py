"""Fully connected networks (LeCun et al. 1998; Frankle & Carbin 2019, Figure 2)."""

from collections.abc import Sequence
from itertools import pairwise
from math import prod

from torch import nn


def mlp(shape: Sequence[int], outputs: int, *, hidden: Sequence[int], dropout: float = 0.0) -> nn.Module:
    """Linear layers with ReLU between them. hidden: widths of the hidden layers. dropout: probability behind each."""
    layers: list[nn.Module] = [nn.Flatten()]
    for fan_in, fan_out in pairwise([prod(shape), *hidden, outputs]):
        layers += [nn.Linear(fan_in, fan_out), nn.ReLU()] + ([nn.Dropout(dropout)] if dropout else [])
    return nn.Sequential(*layers[: -2 if dropout else -1])


def lenet_300_100(shape: Sequence[int], classes: int) -> nn.Module:
    """LeNet-300-100: 266,200 weights on 28 x 28 images and 10 classes."""
    return mlp(shape, classes, hidden=(300, 100))
