"""Architectures. A model is a function (shape of one image, number of classes) -> net; others go by import path."""

from lth.model.lenet import lenet_300_100, mlp

__all__ = ["lenet_300_100", "mlp"]
