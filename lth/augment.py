"""Augmentations: a batch of images -> images, on its device. Randomness is a function of (replicate, step) alone."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

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
    return _moved(images, *_moves(len(images), replicate, step, pad), pad)


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


def _draw(count: int, *, replicate: int, step: int, pad: int = 4) -> Tensor:
    return torch.cat(_moves(count, replicate, step, pad), 1).T.long()


def _apply(images: Tensor, drawn: Tensor, *, pad: int = 4) -> Tensor:
    down, right, flipped = drawn[:, :, None]
    return _moved(images, down, right, flipped.bool(), pad)


class Parts(NamedTuple):
    """An augmentation in two parts, so that what is random can be drawn ahead and applied on another device.

    draw: (number of images, replicate=, step=, settings) -> int64, any x number. apply: (images, drawn, settings) ->
    images. The settings are the keywords of the augmentation.
    """

    draw: Callable[..., Tensor]
    apply: Callable[..., Tensor]


PARTS: Mapping[Callable[..., Tensor], Parts] = MappingProxyType({flip_crop: Parts(_draw, _apply)})
