"""Early-bird tickets: masks that are drawn while a net is trained, and the epoch at which they have settled (You et al.
2020, arXiv 1909.11957, Section 3 and Algorithm 1). Imports no torch.
"""

import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from lth.ticket import Mask


@dataclass(frozen=True)
class Drawn:
    """The masks that a training would be pruned to at the ends of its epochs. steps: those ends. mask: step -> mask.
    layers: those that the level prunes. units: distances count units that are left, such as channels, and not weights.
    """

    steps: Sequence[int]
    mask: "Callable[[int], Mask]"
    layers: Sequence[str]
    units: bool

    def bits(self, step: int) -> "Tensor":
        """The mask of a step as one row of bits."""
        return bits(self.mask(step), self.layers, units=self.units)


def bits(mask: "Mask", layers: Sequence[str], *, units: bool) -> "Tensor":
    """The bits of these layers in one row: of all weights, or of all outputs, each 1 if it has a weight left."""
    import torch

    return torch.cat([mask[name].flatten(1).any(1) if units else mask[name].flatten() for name in layers])


def distance(one: "Tensor", other: "Tensor") -> float:
    """Hamming distance of two masks, as a share of all their bits."""
    return float((one != other).double().mean())


def settled(distances: Iterable[float], *, queue: int = 5, threshold: float = 0.1) -> int | None:
    """The number of distances, of consecutive masks, after which the last `queue` are all below the threshold for the
    first time; None if they never are.
    """
    last = deque[float](maxlen=queue)
    for count, each in enumerate(distances, 1):
        last.append(each)
        if len(last) == queue and max(last) < threshold:
            return count
    return None


def epochs(steps: int, every: int) -> list[int]:
    """The steps at which epochs of `every` steps end, before the end of training."""
    return list(range(every, steps, every))


def compare(
    net: Any, nets: Sequence[Any], mask: Any, data: Any, task: Any, *, drawn: Drawn, **unused: Any
) -> list[dict[str, str]]:
    """A column for the nets of the branch: mask_distances, the distance of each two masks of the training that they
    were drawn from (1-2, 1-3, ..., 2-3, ...), as text.
    """
    rows = [drawn.bits(step) for step in drawn.steps]
    found = " ".join(f"{distance(one, other):.5g}" for one, other in combinations(rows, 2))
    return [{"mask_distances": found}] * len(nets)


def matrix(text: str) -> list[list[float]]:
    """The distances of `compare` as a symmetric matrix."""
    values = [float(each) for each in text.split()]
    count = round((1 + (1 + 8 * len(values)) ** 0.5) / 2)
    above: Mapping[tuple[int, int], float] = dict(zip(combinations(range(count), 2), values, strict=True))
    return [[above.get((min(i, j), max(i, j)), 0.0) for j in range(count)] for i in range(count)]


def drawn_at(text: str, settings: Any = "") -> int | None:
    """The epoch at which the ticket is drawn, from 1 on, by the distances of `compare`; None if they never settle.
    settings: of the branch, as the column branch_settings has them, such as "queue=2, threshold=0.05"; without them,
    the defaults.
    """
    own = re.findall(r"\b(queue|threshold)=([^,]+)", str(settings))
    given: dict[str, Any] = {name: int(value) if name == "queue" else float(value) for name, value in own}
    rows = matrix(text)
    count = settled((rows[a][b] for a, b in pairwise(range(len(rows)))), **given)
    return None if count is None else count + 1
