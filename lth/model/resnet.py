"""Residual network for CIFAR (He et al. 2016, Section 4.2), with 1 x 1 convolutions where the shape changes."""

from collections import OrderedDict
from collections.abc import Sequence

from torch import Tensor, nn

from lth.model.shape import image

WIDTHS = (16, 32, 64)
BLOCKS = 3


def resnet_20(shape: Sequence[int], classes: int) -> nn.Module:
    """ResNet-20 ("Resnet-18" in Frankle & Carbin 2019): 270,896 weights on CIFAR-10, of which the paper leaves the
    2,560 in shortcuts and the 640 in the output layer unpruned.
    """
    layers: list[tuple[str, nn.Module]] = [
        ("conv", nn.Conv2d(image(shape)[0], WIDTHS[0], 3, padding=1, bias=False)),
        ("norm", nn.BatchNorm2d(WIDTHS[0])),
        ("relu", nn.ReLU()),
    ]
    before = WIDTHS[0]
    for stage, width in enumerate(WIDTHS):
        for number in range(BLOCKS):
            stride = 2 if stage and not number else 1
            layers.append((f"block{stage * BLOCKS + number + 1}", Block(before, width, stride)))
            before = width
    layers += [("pool", nn.AdaptiveAvgPool2d(1)), ("flat", nn.Flatten()), ("output", nn.Linear(before, classes))]
    return nn.Sequential(OrderedDict(layers))


class Block(nn.Module):
    """relu(F(x) + shortcut(x)); F is two 3 x 3 convolutions with batch norm."""

    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, width, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or before != width:
            self.shortcut = nn.Sequential(nn.Conv2d(before, width, 1, stride, bias=False), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        """B x before x H x W -> B x width x H / stride x W / stride."""
        inside = nn.functional.relu(self.norm1(self.conv1(x)))
        return nn.functional.relu(self.norm2(self.conv2(inside)) + self.shortcut(x))
