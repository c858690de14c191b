"""Classifiers of torchvision, by name, and the weights that it has of them."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from lth import UserError
from lth.model.shape import image


def torchvision(shape: Sequence[int], classes: int, *, name: str) -> nn.Module:
    """`torchvision.models.<name>`, untrained, such as resnet18, vgg11_bn or mobilenet_v3_small.

    Most expect images of 3 x 224 x 224. Auxiliary classifiers are left out.
    """
    from torchvision import models

    classifiers = models.list_models(module=models)
    if name not in classifiers:
        raise UserError(f"model.name={name}: torchvision has no such classifier; it has {', '.join(classifiers)}")
    if (channels := image(shape)[0]) != 3:
        raise UserError(f"model=torchvision needs images of 3 channels, these have {channels}: use data=cifar10")
    auxiliary = {"aux_logits": False, "init_weights": True} if name in ("googlenet", "inception_v3") else {}
    net: nn.Module = models.get_model(name, weights=None, num_classes=classes, **auxiliary)
    return net


def weights(name: str) -> dict[str, Tensor]:
    """Weights of torchvision by their full name, such as ResNet18_Weights.IMAGENET1K_V1; downloaded if they are not in
    the folder of torch.hub. Raises UserError. The file is read if its SHA-256 begins as its name says, and by PyTorch's
    reader of tensors alone, which runs none of its code.
    """
    from torchvision import models

    try:
        url = str(models.get_weight(name).url)
    except (ValueError, KeyError, AttributeError):
        raise UserError(f"init.weights={name}: torchvision has no such weights; give a full name such as "
                        "ResNet18_Weights.IMAGENET1K_V1") from None  # fmt: skip
    file = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    if file.exists():
        _check_hash(file)
    options = {"map_location": "cpu", "progress": False, "check_hash": True, "weights_only": True}
    try:
        return dict(torch.hub.load_state_dict_from_url(url, **options))  # type: ignore[arg-type]
    except (OSError, RuntimeError) as error:
        raise UserError(f"init.weights={name}: {file} is missing and could not be downloaded ({error}). Put a copy of "
                        f"{url} there", code=1) from error  # fmt: skip


def _check_hash(file: Path) -> None:
    beginning = file.stem.rpartition("-")[2]
    with open(file, "rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if not found.startswith(beginning):
        raise UserError(
            f"{file} is corrupt: its SHA-256 is {found[:8]}..., its name says {beginning}; delete it", code=1
        )
