"""Shapes of inputs that nets expect."""

from collections.abc import Sequence

from lth import UserError


def image(shape: Sequence[int]) -> tuple[int, int, int]:
    """(channels, height, width); raises UserError if inputs are no images."""
    if len(shape) != 3:
        given = " x ".join(map(str, shape))
        raise UserError(f"this net needs images, channels x height x width, and an input is {given}: choose "
                        "model=mlp, a net of your own, or other data")  # fmt: skip
    channels, height, width = shape
    return channels, height, width
