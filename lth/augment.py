"""Augmentations: a batch of images -> images, on its device. Randomness is a function of (replicate, step) alone."""

import torch
from torch import Tensor, nn

from lth import UserError
from lth.seed import generator


def none(images: Tensor, *, replicate: int, step: int) -> Tensor:
    """No augmentation."""
    return images


def flip_crop(images: Tensor, *, replicate: int, step: int, pad: int = 4) -> Tensor:
    """Random horizontal flip with probability 1/2 and random crop after padding by `pad` pixels of value 0, black (He et
    al. 2016, Section 4.2), drawn for each image. B x C x H x W of any type, not scaled yet, in and out.
    """
    if images.dim() != 4:
        raise UserError("augment=flip_crop moves and mirrors images, B x C x H x W, and a batch of inputs is "
                        f"{' x '.join(map(str, images.shape))}: choose augment=none")  # fmt: skip
    count, channels, height, width = images.shape
    random = generator("augment", replicate, step)
    down, right = torch.randint(2 * pad + 1, (2, count, 1), generator=random)
    flipped = torch.randint(2, (count, 1), generator=random, dtype=torch.bool)
    column = torch.arange(width)
    y = torch.arange(height) + down
    x = torch.where(flipped, column.flip(0), column) + right
    image = torch.arange(count)[:, None, None]
    pixels = (image * (height + 2 * pad) + y[:, :, None]) * (width + 2 * pad) + x[:, None, :]
    padded = nn.functional.pad(images.permute(0, 2, 3, 1), (0, 0, pad, pad, pad, pad)).reshape(-1, channels)
    taken = padded.index_select(0, pixels.flatten().to(images.device))
    return taken.view(count, height, width, channels).permute(0, 3, 1, 2)
