"""Architectures: functions (shape of one image, number of classes) -> net. Custom models are given by import path."""

from lth.model.caffe import lenet_5
from lth.model.conv import conv_2, conv_4, conv_6
from lth.model.lenet import lenet_300_100, mlp
from lth.model.named import torchvision
from lth.model.resnet import resnet_20
from lth.model.vgg import vgg_19

__all__ = ["conv_2", "conv_4", "conv_6", "lenet_5", "lenet_300_100", "mlp", "resnet_20", "torchvision", "vgg_19"]
