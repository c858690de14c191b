"""Places of tensors in memory: which lie alike, and along which axis of one another goes."""

from torch import Tensor


def orientations(x: Tensor, weight: Tensor) -> list[bool]:
    """False if a tensor has the shape of the weight, True if it has that of its transpose: both if the first two axes
    are as long, none if it has neither shape.
    """
    swapped = [x.transpose(0, 1)] if x.ndim > 1 else []
    return [bool(way) for way, each in enumerate([x, *swapped]) if each.shape == weight.shape]


def axis_along(whole: Tensor, stride: int) -> int | None:
    """The axis of a tensor that steps of this many places in its memory go along; None if they go along several."""
    found = []
    sizes = zip(whole.stride(), whole.shape, range(whole.ndim), strict=True)
    for step, axis in sorted(((step, axis) for step, size, axis in sizes if size > 1 and step), reverse=True):
        steps, stride = divmod(stride, step)
        found += [axis] * bool(steps)
    return found[0] if len(found) == 1 and not stride else None


def same_layout(x: Tensor, y: Tensor) -> bool:
    """True if both have the same places in their memory."""
    return (x.shape, x.stride(), x.storage_offset()) == (y.shape, y.stride(), y.storage_offset())


def steps(x: Tensor) -> list[int]:
    """Strides of the axes that have more than one place: those of the others may be any."""
    return [stride for stride, size in zip(x.stride(), x.shape, strict=True) if size > 1]


def extent(x: Tensor) -> int:
    """Number of places in memory from its first value to its last."""
    return 1 + sum((size - 1) * stride for size, stride in zip(x.shape, x.stride(), strict=True))
