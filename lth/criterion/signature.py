"""Types of criteria and structures, as functions: what they return."""

from collections.abc import Callable

from torch import Tensor

from lth.ticket import Mask

Criterion = Callable[..., dict[str, Tensor]]
Structure = Callable[..., Mask]
