"""LeNets and fully connected networks (LeCun et al. 1998; Frankle & Carbin 2019, Figure 2)."""

from collections.abc import Sequence
from itertools import pairwise
from math import prod

from torch import nn

from lth import UserError
from lth.model.shape import image


def lecun_lenet_5(shape: Sequence[int], classes: int) -> nn.Module:
    """LeNet-5 of the sizes of LeCun et al. 1998 (6, 16, 120, 84), with ReLU and max-pooling, as in Evci et al. 2022:
    44,190 weights on MNIST. Caffe's, `lenet_5`, is ten times as large.
    """
    channels, height, width = image(shape)
    if min(height, width) < 16:
        raise UserError(f"images of {height} x {width} are too small for two 5 x 5 convolutions: use another net")
    high, wide = (((size - 4) // 2 - 4) // 2 for size in (height, width))
    convolutions = [nn.Conv2d(channels, 6, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU()]
    sizes = [16 * high * wide, 120, 84, classes]
    linear = [layer for pair in pairwise(sizes) for layer in (nn.Linear(*pair), nn.ReLU())][:-1]
    return nn.Sequential(*convolutions, nn.MaxPool2d(2), nn.Flatten(), *linear)


def mlp(shape: Sequence[int], outputs: int, *, hidden: Sequence[int], dropout: float = 0.0) -> nn.Module:
    """Linear layers with ReLU between them. hidden: widths of the hidden layers. dropout: probability behind each."""
    layers: list[nn.Module] = [nn.Flatten()]
    for fan_in, fan_out in pairwise([prod(shape), *hidden, outputs]):
        layers += [nn.Linear(fan_in, fan_out), nn.ReLU()] + ([nn.Dropout(dropout)] if dropout else [])
    return nn.Sequential(*layers[: -2 if dropout else -1])


def lenet_300_100(shape: Sequence[int], classes: int) -> nn.Module:
    """LeNet-300-100: 266,200 weights on 28 x 28 images and 10 classes."""
    return mlp(shape, classes, hidden=(300, 100))
