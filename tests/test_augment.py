"""Augmentation: a whole batch at once, compared with torchvision image by image."""

from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small import COLOUR, conv_net, many, recipe
from torch import Tensor
from torchvision.transforms import functional

from lth import engine
from lth.augment import flip_crop, none
from lth.imp import dense
from lth.init import glorot_normal


def distinct(count: int, channels: int, height: int, width: int) -> Tensor:
    """Equal images whose pixels differ from each other and from black."""
    pixels = torch.arange(1, height * width + 1, dtype=torch.uint8).view(1, 1, height, width)
    return pixels.repeat(count, channels, 1, 1) + torch.arange(channels, dtype=torch.uint8)[:, None, None]


def of_torchvision(image: Tensor, down: int, right: int, flipped: bool, pad: int) -> Tensor:
    """Torchvision's result for an image, C x H x W: padded, cropped at (`down`, `right`), then flipped or not."""
    height, width = image.shape[1:]
    cropped = functional.crop(functional.pad(image, [pad]), down, right, height, width)
    return functional.hflip(cropped) if flipped else cropped


def choices(pad: int) -> list[tuple[int, int, bool]]:
    """All combinations of offsets and flip: 2 (2 pad + 1)^2."""
    offsets = range(2 * pad + 1)
    return [(down, right, flipped) for down in offsets for right in offsets for flipped in (False, True)]


def test_no_augmentation_returns_the_images_unchanged() -> None:
    images = distinct(3, 2, 4, 5)
    assert none(images, replicate=1, step=7) is images


@many
@given(
    st.integers(0, 3),
    st.sampled_from([1, 3]),
    st.tuples(st.integers(2, 7), st.integers(2, 7)),
    st.integers(1, 3),
    st.integers(0, 10**6),
)
def test_every_image_equals_that_of_torchvision_for_one_offset_and_flip(
    pad: int, channels: int, size: tuple[int, int], replicate: int, step: int
) -> None:
    images = distinct(6, channels, *size)
    augmented = flip_crop(images, replicate=replicate, step=step, pad=pad)
    assert (augmented.shape, augmented.dtype) == (images.shape, torch.uint8)
    possible = torch.stack([of_torchvision(images[0], *chosen, pad) for chosen in choices(pad)])
    for image in augmented:
        assert (possible == image).all((1, 2, 3)).any()


def recovered(images: Tensor, augmented: Tensor, pad: int) -> list[tuple[int, int, bool]]:
    """The offset and flip of each image; all images are the same, and no two choices give the same result."""
    possible = torch.stack([of_torchvision(images[0], *chosen, pad) for chosen in choices(pad)])
    found = (possible[None] == augmented[:, None]).all((2, 3, 4))
    assert (found.sum(1) == 1).all()
    return [choices(pad)[row] for row in found.int().argmax(1).tolist()]


def test_every_offset_and_both_flips_occur_equally_often() -> None:
    # 9 x 9 pixels, so that even a shift by 4 leaves the middle; 162 choices, each expected 40 times, +- 4 deviations
    images = distinct(162 * 40, 1, 9, 9)
    found = recovered(images, flip_crop(images, replicate=1, step=0), pad=4)
    counts = {chosen: found.count(chosen) for chosen in choices(4)}
    assert len(found) == sum(counts.values()) == 6480
    assert min(counts.values()) >= 40 - 26
    assert max(counts.values()) <= 40 + 26
    # and each of the three by itself, +- 4 deviations
    assert abs(sum(flipped for _, _, flipped in found) - 3240) < 4 * (6480 / 4) ** 0.5
    for offset in range(9):
        for axis in (0, 1):
            assert abs(sum(chosen[axis] == offset for chosen in found) - 720) < 4 * (720 * 8 / 9) ** 0.5


def test_without_padding_an_image_is_only_flipped_or_not() -> None:
    images = torch.tensor([[[[1, 2, 3]]]], dtype=torch.uint8).repeat(50, 1, 1, 1)
    seen = [tuple(row) for row in flip_crop(images, replicate=1, step=3, pad=0).flatten(1).tolist()]
    assert set(seen) == {(1, 2, 3), (3, 2, 1)}


def test_one_pixel_with_a_border_of_one_stays_with_probability_1_in_9_and_else_is_black() -> None:
    images = torch.full((9000, 1, 1, 1), 255, dtype=torch.uint8)
    seen = flip_crop(images, replicate=1, step=0, pad=1).flatten()
    assert set(seen.tolist()) == {0, 255}
    assert abs(int((seen == 255).sum()) - 1000) < 4 * (1000 * 8 / 9) ** 0.5


def test_augmentation_is_a_function_of_replicate_and_step_and_leaves_the_global_generator_alone() -> None:
    images = distinct(20, 1, 8, 8)
    torch.manual_seed(1)
    first = flip_crop(images, replicate=2, step=5)
    torch.manual_seed(2)
    before = torch.get_rng_state()
    assert torch.equal(flip_crop(images, replicate=2, step=5), first)
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(flip_crop(images, replicate=2, step=6), first)
    assert not torch.equal(flip_crop(images, replicate=3, step=5), first)


def test_the_images_of_a_batch_are_moved_independently_and_their_channels_together() -> None:
    one = distinct(40, 1, 8, 8)
    both = torch.cat([one, one.flip(2)], dim=1)
    first, second = (flip_crop(part, replicate=1, step=0) for part in (one, one.flip(2)))
    assert torch.equal(flip_crop(both, replicate=1, step=0), torch.cat([first, second], dim=1))
    assert len(set(recovered(one, first, pad=4))) > 20


def test_the_input_images_are_not_modified() -> None:
    images = distinct(10, 3, 5, 5)
    before = images.clone()
    flip_crop(images, replicate=1, step=0).zero_()
    assert torch.equal(images, before)


def test_training_sees_augmented_images_and_evaluation_does_not() -> None:
    # with learning rate 0 only the images make a difference; no batch norm, whose statistics would change
    still = {"data": COLOUR, "model": one_convolution, "optimizer": partial(torch.optim.SGD, lr=0.0)}
    plain, moved = recipe(**still), recipe(**still, augment=partial(flip_crop, pad=2))
    ticket = dense(plain, glorot_normal)
    (before,), (after,) = (engine.train([ticket], recipe=r, device="cpu") for r in (plain, moved))
    scores = ["validation_loss", "validation_accuracy", "test_loss", "test_accuracy"]
    assert after.evaluations[scores].equals(before.evaluations[scores])
    assert after.facts["final_train_accuracy"] == before.facts["final_train_accuracy"]
    assert (after.evaluations["train_loss"][1:] != before.evaluations["train_loss"][1:]).all()


def one_convolution(shape: tuple[int, int, int], classes: int) -> torch.nn.Module:
    """`conv_net` without its batch norm."""
    layers = list(conv_net(shape, classes).children())
    return torch.nn.Sequential(layers[0], *layers[2:])


@pytest.mark.parametrize("pad", [0, 3])
def test_an_empty_batch_stays_empty(pad: int) -> None:
    assert flip_crop(distinct(0, 3, 4, 4), replicate=1, step=0, pad=pad).shape == (0, 3, 4, 4)
