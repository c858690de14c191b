"""One training by several processes, each with a part of every batch: what they sum, and how they stay equal.

The gradients are summed here and not by PyTorch's DistributedDataParallel. That one averages over processes, which is
wrong where a batch does not divide evenly, and sees only what goes through the forward of its own wrapper, which is not
how a loop calls its net. Here each process weights its loss by its share of the batch, so that the sum of the gradients
is the gradient of the whole batch, whatever the parts.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed


@dataclass(frozen=True)
class Ranks:
    """One process of the `count` of a training. What sums or copies is called by all of them at once."""

    rank: int = 0
    count: int = 1

    def part(self, size: int) -> slice:
        """The part of a batch that this process has; the first ones have one example more if it is not even."""
        each, more = divmod(size, self.count)
        start = self.rank * each + min(self.rank, more)
        return slice(start, start + each + (self.rank < more))

    def share(self, size: int) -> float:
        """Share of a batch that this process has."""
        part = self.part(size)
        return float(part.stop - part.start) / size

    def own(self, parts: Any) -> Any:
        """The parts of an evaluation that this process takes."""
        return parts[self.rank :: self.count] if isinstance(parts, tuple | range) else parts

    def total(self, *values: float) -> list[float]:
        """Sums over all processes."""
        if self.count == 1:
            return [*values]
        summed = torch.tensor(values, dtype=torch.float64, device=_device())
        distributed.all_reduce(summed)
        return list(summed.tolist())

    def sum_gradients(self, parameters: Iterable[Tensor], loss: Tensor) -> Tensor:
        """Sum the gradients, and the losses, of which the sum is returned. A parameter that got no gradient in any
        process has none afterwards, so that the optimizer leaves it alone.
        """
        learning = [p for p in parameters if p.requires_grad]
        missing = [p for p in learning if p.grad is None]
        facts = torch.tensor([0.0, *(p.grad is not None for p in learning)], dtype=torch.float64).to(loss.device)
        facts[0] = loss
        distributed.all_reduce(facts)
        for p in missing:
            p.grad = torch.zeros_like(p)
        _flat([p.grad for p in learning if p.grad is not None], distributed.all_reduce)
        if missing:  # only then: it waits for the device
            found = dict(zip(map(id, learning), facts[1:].tolist(), strict=True))
            for p in missing:
                p.grad = p.grad if found[id(p)] else None
        return facts[0].to(loss.dtype)

    def as_first(self, tensors: Iterable[Tensor]) -> None:
        """Give all processes the values of the first one."""
        _flat([*tensors], lambda flat: distributed.broadcast(flat, 0))


ALONE = Ranks()


def _flat(tensors: list[Tensor], change: Callable[[Tensor], object]) -> None:
    """Change the values of all tensors as one tensor for each type."""
    for kind in dict.fromkeys(tensor.dtype for tensor in tensors):
        alike = [tensor.detach() for tensor in tensors if tensor.dtype == kind]
        flat = torch.cat([tensor.reshape(-1) for tensor in alike])
        change(flat)
        for tensor, part in zip(alike, flat.split([tensor.numel() for tensor in alike]), strict=True):
            tensor.copy_(part.view(tensor.shape))


def _device() -> torch.device:
    """The device on which the processes talk to each other."""
    cuda = distributed.get_backend() == "nccl"
    return torch.device("cuda", torch.cuda.current_device()) if cuda else torch.device("cpu")
