"""Caffe's LeNet-5, pruned by Han et al. 2015 (the LeNet-5 of LeCun et al. 1998 is smaller)."""

from collections.abc import Sequence

from torch import nn

from lth import UserError
from lth.model.shape import image


def lenet_5(shape: Sequence[int], classes: int) -> nn.Module:
    """Two convolutions with pooling and two linear layers, ReLU only after the first: 430,500 weights on MNIST."""
    channels, height, width = image(shape)
    if min(height, width) < 16:
        raise UserError(f"images of {height} x {width} are too small for two 5 x 5 convolutions: use another net")
    high, wide = (((size - 4) // 2 - 4) // 2 for size in (height, width))
    return nn.Sequential(
        nn.Conv2d(channels, 20, 5),
        nn.MaxPool2d(2),
        nn.Conv2d(20, 50, 5),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(50 * high * wide, 500),
        nn.ReLU(),
        nn.Linear(500, classes),
    )
