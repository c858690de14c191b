"""VGG-19 for CIFAR (Simonyan & Zisserman 2015; Frankle & Carbin 2019, Figure 2)."""

from collections.abc import Sequence

from torch import nn

from lth import UserError
from lth.model.shape import image

STAGES = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))


def vgg_19(shape: Sequence[int], classes: int) -> nn.Module:
    """Sixteen convolutions with batch norm, average pooling and one linear layer: 20,024,000 weights on CIFAR-10, of
    which the paper leaves the 5,120 in the output layer unpruned.
    """
    before, height, width = image(shape)
    if min(height, width) < 2 ** (len(STAGES) - 1):
        raise UserError(f"images of {height} x {width} can't be halved {len(STAGES) - 1} times: use another net")
    layers: list[nn.Module] = []
    for stage, (channels, convolutions) in enumerate(STAGES):
        if stage:
            layers.append(nn.MaxPool2d(2))
        for _ in range(convolutions):
            layers += [nn.Conv2d(before, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()]
            before = channels
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, classes))
