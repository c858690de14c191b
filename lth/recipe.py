"""Recipe: everything that, besides the ticket, decides the result of training."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from lth import UserError, augment, lr, regularization, updater
from lth.data import Data
from lth.ticket import Mask

Precision = Literal["fp32", "tf32", "bf16"]


@dataclass(frozen=True, eq=False)
class Recipe:
    """model: (shape, classes) -> net. optimizer: parameters -> optimizer. lr: step -> factor on the optimizer's rate.
    steps: T, counted from step 0 also by a ticket that starts at k. batch_size: images per step. evaluate_every: steps
    from one evaluation on validation and test set to the next. augment: images -> images, of training only.
    precision: "fp32"; "tf32": the same on an NVIDIA GPU that multiplies numbers rounded to 19 bits; or "bf16":
    convolutions and linear layers compute in bfloat16, on weights that stay float32.
    regularization: weights -> penalty that is added to the loss, or None. updater: (step, weights, gradients, mask) ->
    mask, called after every optimizer step (see `lth.updater`).
    """

    model: Callable[..., nn.Module]
    data: Data
    optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]
    steps: int
    batch_size: int = 60
    evaluate_every: int = 100
    lr: Callable[[int], float] = lr.constant
    augment: Callable[..., Tensor] = augment.none
    regularization: Callable[[list[Tensor]], Tensor | None] = regularization.none
    precision: Precision = "fp32"
    updater: Callable[..., Mask] = updater.none

    def __post_init__(self) -> None:
        if self.precision not in get_args(Precision):
            raise UserError(f"precision={self.precision}: choose one of {', '.join(get_args(Precision))}")
        for name in ("steps", "batch_size", "evaluate_every"):
            if getattr(self, name) < 1:
                raise UserError(f"{name}={getattr(self, name)}: must be at least 1")

    @property
    def moves_mask(self) -> bool:
        """True if the mask may change during training."""
        return getattr(self.updater, "func", self.updater) is not updater.none

    def net(self, seed: int = 0) -> nn.Module:
        """A fresh network. What an init leaves as the model made it is drawn from `seed`, whatever was drawn before."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self.model(self.data.shape, self.data.classes)
