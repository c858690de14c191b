"""Images with their channels last: convolutions are faster on them, those of Conv-2 by a third."""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn

from lth.data import normalized
from lth.layer import has
from lth.recipe import Recipe
from lth.seed import undisturbed


def of(inputs: Tensor) -> Tensor:
    """Inputs with their channels last if they are images (B x C x H x W)."""
    return inputs.contiguous(memory_format=torch.channels_last) if inputs.dim() == 4 else inputs


@lru_cache(maxsize=8)
def suits(recipe: Recipe) -> bool:
    """True if the net has convolutions of images and takes these with their channels last, which one can't that
    flattens by `view`.
    """
    net, data = recipe.net(), recipe.data
    if len(data.shape) != 3 or not has(net, nn.Conv2d):
        return False
    images = of(normalized(data, data.train.take(np.arange(2) % len(data.train)))[0])
    try:
        with undisturbed(), torch.no_grad():
            net.eval()(images)
            net.train()(images)
    except Exception:  # whatever a net raises on them
        return False
    return True


def keep(net: nn.Module) -> None:
    """Keep the gradient of every pooling channels-last: after a flattening it would run channels-first from here on, at
    a tenth of a step of Conv-2.
    """
    for layer in net.modules():
        if isinstance(layer, nn.MaxPool2d):
            layer.register_forward_hook(_gradient)


def _gradient(layer: nn.Module, images: tuple[Tensor], pooled: Tensor) -> None:
    if pooled.requires_grad and pooled.is_contiguous(memory_format=torch.channels_last):
        pooled.register_hook(lambda gradient: gradient.contiguous(memory_format=torch.channels_last))
