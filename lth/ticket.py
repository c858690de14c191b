"""The values of the project: a ticket (m, W_k, k) goes into training, a trained net comes out.

Frankle & Carbin 2019: a subnetwork is f(x; m * theta), m in {0, 1}^|theta|. The weights of a ticket are kept dense, so
that a control can put another mask on the same theta; training, and everything that looks at it, sees m * theta.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from lth import UserError
from lth.layer import prunable
from lth.seed import seed

Weights = Mapping[str, Tensor]
Mask = Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class Ticket:
    """m, W_k, k, replicate and order: all that, besides the recipe, decides the result of training.

    order: a second seed of data order, augmentation and dropout, in which children of one W_k differ.

    `level`, `branch`, `draw` and `bits` say where the ticket comes from and decide nothing. branch: "ticket" for the
    main line, else the name of a control or a quantization. draw: counts independent draws of a control from 0. bits:
    width that weights are quantized to, 2 to 8, "fp16" or "bf16"; None for float32.
    """

    weights: Weights
    mask: Mask
    step: int = 0
    level: int = 0
    replicate: int = 1
    branch: str = "ticket"
    draw: int = 0
    bits: int | str | None = None
    order: int = 0

    @property
    def noise(self) -> int:
        """The seed of batches, augmentation and dropout, the same for all tickets of one (replicate, order): the
        replicate itself for order 0.
        """
        return seed("order", self.replicate, self.order) if self.order else self.replicate

    def __str__(self) -> str:
        draw = f", draw {self.draw}" if self.draw else ""
        bits = "" if self.bits is None else f", {self.bits} bits" if isinstance(self.bits, int) else f", {self.bits}"
        return f"{self.branch}, replicate {self.replicate}, level {self.level}{draw}{bits}"


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained ticket: (W_T, m_T) and the way there.

    evaluations: one row per evaluation; columns step, train_loss (mean since the row before), validation_loss,
        validation_accuracy, test_loss, test_accuracy, or those of another metric (`Task.columns`). Losses of classes in
        nats, accuracies in [0, 1].
    at: step -> the weights W_step of this very training, pruned ones exactly 0; every call reads them, or trains up to
        there again if they were not kept.
    steps: the step T at which training ended.
    mask: m_T, the mask at the end; that of the ticket unless the recipe has an updater.
    """

    ticket: Ticket
    evaluations: pd.DataFrame
    at: Callable[[int], Weights]
    steps: int
    mask: Mask
    facts: Mapping[str, Any] = field(default_factory=dict)

    def weights(self) -> Weights:
        """Read W_T, once per call."""
        return self.at(self.steps)


def full_mask(net: nn.Module, names: Iterable[str] | None = None) -> dict[str, Tensor]:
    """The mask of level 0: every weight of these layers kept; None: of all that are prunable by their type."""
    names = prunable(net) if names is None else names
    return {name: torch.ones_like(net.get_parameter(name), dtype=torch.bool) for name in names}


def masked(weights: Weights, mask: Mask) -> dict[str, Tensor]:
    """m * theta as fresh tensors, never aliases; a pruned weight is +0."""
    return {
        name: weight.masked_fill(~mask[name], 0) if name in mask else weight.clone() for name, weight in weights.items()
    }


def content(tensor: Tensor) -> memoryview:
    """The bytes of a tensor, of any type of number, in row-major order."""
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data


def density(mask: Mask) -> float:
    """Share of the prunable weights that remains, in [0, 1]."""
    return remaining(mask) / total(mask)


def remaining(mask: Mask) -> int:
    """||m||_0, counted from the mask, since a trained weight may happen to be 0."""
    return sum(int(kept.sum()) for kept in mask.values())


def total(mask: Mask) -> int:
    """Number of prunable weights, the denominator of density; layers with rate 0 count (as in the paper's P_m)."""
    return sum(kept.numel() for kept in mask.values())


def layers_kept(mask: Mask) -> float:
    """Share of the prunable layers that keep a weight; below 1 after layer collapse (Tanaka et al. 2020)."""
    return sum(bool(kept.any()) for kept in mask.values()) / len(mask)


def highest(name: str, scores: Tensor, mask: Tensor, kept: int, what: str = "weights") -> Tensor:
    """The mask of the `kept` highest scores among the remaining; of equal scores the lower index goes first."""
    left = mask.flatten().nonzero().squeeze(1)
    if kept > len(left):
        raise UserError(
            f"{kept} {what} of {name} should remain and only {len(left)} are left, since pruned weights stay pruned: "
            "lower the density of this level, or ask for fewer levels (levels=0 prunes by an updater alone)"
        )
    candidates = scores.detach().flatten()[left]
    check_scores(name, candidates)
    new = torch.zeros(mask.numel(), dtype=torch.bool, device=mask.device)
    new[left] = top(candidates, kept)
    return new.view_as(mask)


def check_scores(name: str, scores: Tensor) -> None:
    """Raise UserError if a score is NaN."""
    if scores.isnan().any():
        raise UserError(f"a score of {name} is not a number: check what the criterion divides by, or takes roots of; "
                        "of a training that diverged, lower optimizer.lr")  # fmt: skip


def top(values: Tensor, kept: int) -> Tensor:
    """True at the `kept` highest of these values, in their shape; of equal ones the lower index goes first. None
    may be NaN. They are not sorted, which takes eight times as long.
    """
    if kept in (0, values.numel()):
        return torch.full_like(values, bool(kept), dtype=torch.bool)
    numbers = (values.byte() if values.dtype == torch.bool else values).flatten()
    border = numbers.kthvalue(len(numbers) - kept).values
    chosen = numbers > border
    if missing := kept - int(chosen.sum()):
        chosen[(numbers == border).nonzero().squeeze(1)[-missing:]] = True
    return chosen.view_as(values)


def at_least_one(name: str, size: int, kept: int, what: str = "weights") -> int:
    """`kept`, if it is at least 1."""
    if kept < 1:
        raise UserError(f"none of the {size} {what} of {name} would be left: ask for fewer levels or a higher density")
    return kept
