"""Architectures: functions (shape of one input, number of outputs) -> net. Custom models are given by import path."""

from lth.model.caffe import lenet_5
from lth.model.conv import conv_2, conv_4, conv_6
from lth.model.lenet import lecun_lenet_5, lenet_300_100, mlp
from lth.model.named import torchvision
from lth.model.resnet import resnet_20
from lth.model.transformer import transformer
from lth.model.vgg import vgg_19

__all__ = [
    "conv_2",
    "conv_4",
    "conv_6",
    "lecun_lenet_5",
    "lenet_5",
    "lenet_300_100",
    "mlp",
    "resnet_20",
    "torchvision",
    "transformer",
    "vgg_19",
]
