"""Augmentations: a batch of images -> images, on its device. Randomness is a function of (replicate, step) alone."""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from lth import UserError
from lth.seed import generator


def none(images: Tensor, *, replicate: int, step: int) -> Tensor:
    """No augmentation."""
    return images


def flip_crop(images: Tensor, *, replicate: int, step: int, pad: int = 4) -> Tensor:
    """Random horizontal flip with probability 1/2 and random crop after padding by `pad` black pixels (He et al. 2016,
    Section 4.2), drawn for each image. B x C x H x W of any type, not scaled yet, in and out; black is 0.
    """
    if pad < 0:
        raise UserError(f"augment.pad={pad}: a number of pixels, at least 0")
    return _moved(images, *_moves(len(images), replicate, step, pad), pad)


def resized_crop(
    images: Tensor,
    *,
    replicate: int,
    step: int,
    area: float = 0.08,
    aspect: float = 1.3333333333333333,
) -> Tensor:
    """Random crop of a share of `area` or more, up to `aspect` times as wide as high or as high as wide, resized, and
    flipped with probability 1/2 (Szegedy et al. 2015; as PyTorch's RandomResizedCrop), drawn for each image. Images of
    bytes, B x C x H x W with 1 or 3 channels. With data=image_folder, it is a crop of the whole image in its file.
    """
    if images.dim() != 4 or images.dtype != torch.uint8 or images.shape[1] not in (1, 3):
        raise UserError("augment=resized_crop takes images of bytes with 1 or 3 channels, and a batch of inputs is "
                        f"{images.dtype}, {' x '.join(map(str, images.shape))}: choose augment=none")  # fmt: skip
    settings: Any = {"replicate": replicate, "step": step, "area": area, "aspect": aspect}
    size = images.shape[2], images.shape[3]
    changed = [_of_file(_picture(image), size, place, **settings) for place, image in enumerate(images.cpu())]
    pixels = torch.from_numpy(np.stack([np.asarray(image).reshape(*size, -1) for image in changed]))
    return pixels.permute(0, 3, 1, 2).contiguous().to(images.device)


def _of_file(
    image: Any,
    size: tuple[int, int],
    place: int,
    *,
    replicate: int,
    step: int,
    area: float,
    aspect: float,
) -> Any:
    """The same of one PIL image, at `place` of its batch, to a height and a width."""
    from PIL import Image

    random = generator("augment", replicate, step, place)
    crop = image.crop(_box(image.width, image.height, area, aspect, random))
    resized = crop.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    flip = bool(torch.randint(2, (1,), generator=random))
    return resized.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if flip else resized


def _box(width: int, height: int, area: float, aspect: float, random: torch.Generator) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of a crop: the first of ten draws that fits, else the largest one in the middle."""
    for share, power in torch.rand(10, 2, generator=random, dtype=torch.float64).tolist():
        pixels, shape = width * height * (area + (1 - area) * share), aspect ** (2 * power - 1)
        w, h = round(math.sqrt(pixels * shape)), round(math.sqrt(pixels / shape))
        if 0 < w <= width and 0 < h <= height:
            left = int(torch.randint(width - w + 1, (1,), generator=random))
            top = int(torch.randint(height - h + 1, (1,), generator=random))
            return left, top, left + w, top + h
    w, h = min(width, round(height * aspect)), min(height, round(width * aspect))
    left, top = (width - w) // 2, (height - h) // 2
    return left, top, left + w, top + h


def _picture(image: Tensor) -> Any:
    from PIL import Image

    pixels = image[0] if len(image) == 1 else image.permute(1, 2, 0)
    return Image.fromarray(pixels.contiguous().numpy())


def _moves(count: int, replicate: int, step: int, pad: int) -> tuple[Tensor, Tensor, Tensor]:
    """Rows down and columns right, 0 to 2 * pad, and True where an image is flipped: each count x 1."""
    random = generator("augment", replicate, step)
    down, right = torch.randint(2 * pad + 1, (2, count, 1), generator=random)
    return down, right, torch.randint(2, (count, 1), generator=random, dtype=torch.bool)


def _moved(images: Tensor, down: Tensor, right: Tensor, flipped: Tensor, pad: int) -> Tensor:
    if images.dim() != 4:
        raise UserError("augment=flip_crop moves and mirrors images, B x C x H x W, and a batch of inputs is "
                        f"{' x '.join(map(str, images.shape))}: choose augment=none")  # fmt: skip
    count, channels, height, width = images.shape
    column = torch.arange(width, device=down.device)
    y = torch.arange(height, device=down.device) + down
    x = torch.where(flipped, column.flip(0), column) + right
    image = torch.arange(count, device=down.device)[:, None, None]
    pixels = (image * (height + 2 * pad) + y[:, :, None]) * (width + 2 * pad) + x[:, None, :]
    padded = nn.functional.pad(images.permute(0, 2, 3, 1), (0, 0, pad, pad, pad, pad)).reshape(-1, channels)
    taken = padded.index_select(0, pixels.flatten().to(images.device))
    return taken.view(count, height, width, channels).permute(0, 3, 1, 2)


def _draw(count: int, *, replicate: int, step: int, pad: int) -> Tensor:
    return torch.cat(_moves(count, replicate, step, pad), 1).T.long()


def _apply(images: Tensor, drawn: Tensor, *, pad: int) -> Tensor:
    down, right, flipped = drawn[:, :, None]
    return _moved(images, down, right, flipped.bool(), pad)


class Parts(NamedTuple):
    """An augmentation in two parts, so that what is random can be drawn ahead and applied on another device.

    draw: (number of images, replicate=, step=, settings) -> int64, any x number. apply: (images, drawn, settings) ->
    images. The settings are all keywords of the augmentation, its defaults among them.
    """

    draw: Callable[..., Tensor]
    apply: Callable[..., Tensor]


PARTS: Mapping[Callable[..., Tensor], Parts] = MappingProxyType({flip_crop: Parts(_draw, _apply)})

# Augmentations that can be drawn from a whole image that is read from a file: (image, (height, width), place in the
# batch, replicate=, step=, settings) -> image.
OF_FILES: Mapping[Callable[..., Tensor], Callable[..., Any]] = MappingProxyType({resized_crop: _of_file})
