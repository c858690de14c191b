"""Places of tensors in memory: which lie alike, and which as the transpose of another."""

from torch import Tensor


def alike(x: Tensor, weight: Tensor) -> bool:
    """True if it has the shape of the weight, or of its transpose."""
    return x.shape == weight.shape or (x.ndim > 1 and x.mT.shape == weight.shape)


def seen(x: Tensor, whole: Tensor, turned: bool | None) -> bool | None:
    """True if a tensor in the memory of another lies as the transpose of a weight. turned: the same of the other."""
    if turned is None or not x.ndim or not x.stride(-1):
        return None
    if x.stride(-1) == whole.stride(-1):
        return turned
    return not turned if x.ndim == whole.ndim else None


def same_layout(x: Tensor, y: Tensor) -> bool:
    """True if both have the same places in their memory."""
    return (x.shape, x.stride(), x.storage_offset()) == (y.shape, y.stride(), y.storage_offset())


def extent(x: Tensor) -> int:
    """Number of places in memory from its first value to its last."""
    return 1 + sum((size - 1) * stride for size, stride in zip(x.shape, x.stride(), strict=True))
