"""Classifiers of torchvision, by name."""

from collections.abc import Sequence

from torch import nn

from lth.model.shape import image


def torchvision(shape: Sequence[int], classes: int, *, name: str) -> nn.Module:
    """`torchvision.models.<name>`, untrained, such as resnet18, vgg11_bn or mobilenet_v3_small.

    Most expect images of 3 x 224 x 224. Auxiliary classifiers are left out.
    """
    from torchvision import models

    classifiers = models.list_models(module=models)
    if name not in classifiers:
        raise ValueError(f"model.name={name}: torchvision has no such classifier; it has {', '.join(classifiers)}")
    if (channels := image(shape)[0]) != 3:
        raise ValueError(f"model=torchvision needs images of 3 channels, these have {channels}: use data=cifar10")
    auxiliary = {"aux_logits": False, "init_weights": True} if name in ("googlenet", "inception_v3") else {}
    net: nn.Module = models.get_model(name, weights=None, num_classes=classes, **auxiliary)
    return net
