"""Recipe: everything that, besides the ticket, decides the result of training."""

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from numbers import Integral
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn

from lth import UserError, augment, lr, regularization, updater
from lth.data import Data, normalized
from lth.keywords import takes, unbound
from lth.layer import BATCH_NORMS, TRAINING, UNUSED, Layers, layers, no_output, prunable, reached, with_others
from lth.model.check import check_net, check_shape, check_task, materialize, outputs_of
from lth.model.kept import check_kept
from lth.seed import seeded, start_host, undisturbed
from lth.task import CLASSIFICATION, Task
from lth.ticket import Mask

Precision = Literal["fp32", "tf32", "bf16"]
Kernel = Literal["auto", "dense", "sparse"]
EXAMPLES, NETS = 4, 16  # inputs, and nets, in which layers are sought that one input does not use


@dataclass(frozen=True, eq=False)
class Recipe:
    """Everything that decides the result of training, besides the ticket.

    model: (shape, outputs) -> net.
    optimizer: parameters -> optimizer.
    lr: step -> factor on the optimizer's rate.
    steps: T, counted from step 0 also by a ticket that starts at k.
    batch_size: examples per step; if the training set has fewer, a batch has some of them twice.
    evaluate_every: steps from one evaluation on validation and test set to the next.
    augment: inputs -> inputs, of training only.
    precision: "fp32"; "tf32": the same on an NVIDIA GPU that multiplies numbers rounded to 19 bits; or "bf16":
        convolutions and linear layers compute in bfloat16, on weights that stay float32.
    regularization: weights -> penalty that is added to the loss, or None.
    updater: (step, weights, gradients, mask) -> mask, called after every optimizer step (see `lth.updater`).
    output: name of the layer that gives the outputs, "" to find it in the net.
    task: loss and metric (see `lth.task`).
    threads: of PyTorch on a CPU; more of them add up the parts of a sum in another order, which changes its last
        digits.
    kernel: of a step on a CPU. "dense" computes with pruned weights too; "sparse" with the kept ones alone, which
        changes the order of sums: fully connected nets as a whole, of other nets the linear layers. "auto" is sparse
        for the former where 55% or less are kept, for linear layers of at least 16,384 weights where 40% or less are.
    batch_norm_parts: of a batch, over each of which batch norm takes its statistics; more than 1 needs as many devices.
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
    output: str = ""
    task: Task = CLASSIFICATION
    threads: int = 1
    kernel: Kernel = "auto"
    batch_norm_parts: int = 1

    def __post_init__(self) -> None:
        if self.precision not in get_args(Precision):
            raise UserError(f"precision={self.precision}: choose one of {', '.join(get_args(Precision))}")
        if self.kernel not in get_args(Kernel):
            raise UserError(f"kernel={self.kernel}: choose one of {', '.join(get_args(Kernel))}")
        for name in ("steps", "batch_size", "evaluate_every", "threads", "batch_norm_parts"):
            if not isinstance(value := getattr(self, name), Integral):
                raise UserError(f"{name}={value}: must be a whole number")
            if value < 1:
                raise UserError(f"{name}={value}: must be at least 1")
        if not isinstance(self.data, Data):
            kind = type(self.data).__name__
            raise UserError(f"data: a value of type {kind} was given; the function must return a lth.data.Data")
        if not isinstance(self.task, Task):
            raise UserError(f"task gives a {type(self.task).__name__}: return a lth.task.Task")
        self.task.check(self.data)
        self._check_rates()

    def _check_rates(self) -> None:
        """Refuse a rate that changes where the optimizer would not follow it."""
        does = (
            (torch.optim.Rprop, "takes the rate of its first step for all"),
            (torch.optim.ASGD, "follows a step late"),
        )
        for kind, what in does:
            if unbound(self.optimizer)[0] is kind and self._rate_changes():
                raise UserError(f"optimizer={kind.__name__.lower()} {what}, so that it can't follow a schedule: use "
                                "lr=constant without a warm-up")  # fmt: skip

    def _rate_changes(self) -> bool:
        return len({float(self.lr(step)) for step in range(self.steps)}) > 1

    @property
    def moves_mask(self) -> bool:
        """True if the mask may change during training."""
        return unbound(self.updater)[0] is not updater.none

    @cached_property
    def replaces_steps(self) -> bool:
        """True if the updater may take the place of steps of the optimizer."""
        return self.supplies("stepped")

    def supplies(self, keyword: str) -> bool:
        """True if the updater has this keyword, which the engine gives it."""
        return takes(self.updater, keyword)

    @cached_property
    def _penalizes_scales(self) -> bool:
        try:
            return next(iter(inspect.signature(self.regularization).parameters), "") == "scales"
        except (ValueError, TypeError):  # a function that does not say what it takes
            return False

    @property
    def regrows(self) -> bool:
        """True if the updater is known to bring pruned weights back."""
        return unbound(self.updater)[0] in (updater.set, updater.rigl)

    def at_last_rate(self, steps: int) -> "Recipe":
        """The recipe of a ticket that goes on after the end, for `steps` more steps at the rate of step T - 1."""
        last = float(self.lr(self.steps - 1))
        return replace(self, steps=self.steps + steps, lr=partial(lr.drop, at=[0], factor=last))

    def penalized(self, net: nn.Module, weights: Iterable[str]) -> list[str]:
        """Names of what the regularization takes: these prunable weights, or the scales of batch norm."""
        if not self._penalizes_scales:
            return [*weights]
        return [
            f"{name}.weight" for name, layer in net.named_modules() if isinstance(layer, BATCH_NORMS) and layer.affine
        ]

    def net(self, seed: int = 0) -> nn.Module:
        """A fresh network. What an init leaves as the model made it is drawn from `seed`, whatever was drawn before."""
        with undisturbed():
            start_host(seed)
            net = self.model(self.data.shape, self.data.outputs)
            check_net(net)
            materialize(net, self.data.example())
        return net

    @cached_property
    def kinds_by_type(self) -> dict[str, str]:
        """Kinds of the prunable weights by the types of their layers alone."""
        return prunable(self.net())

    @cached_property
    def layers(self) -> Layers:
        """The layers of the net that can be pruned. Raises UserError if the net can't be trained or pruned."""
        net = self.net()
        trained = self._trained(net)
        if not self.penalized(net, ["none"]):
            raise UserError(f"regularization: {type(net).__name__} has no batch norm with scales; use l1, l2 or none")
        try:
            with seeded("layers"):
                found = layers(self.net(), self.data.example(), self.output)  # as it was before the passes above
            nets = map(self.net, range(NETS))
            found = with_others(found, nets, self.data.examples(EXAMPLES), self.output)
        except ValueError as error:
            if not isinstance(error, UserError):  # batch norm
                error.add_note("on one input in evaluation: give batch norm running statistics")
            raise
        if not found.kinds:
            reasons = "; ".join(f"{name}: {why}" for name, why in found.left.items()) or "it has no such layer"
            name = type(net).__name__
            raise UserError(f"{name} has no weights to prune ({reasons}): give it linear or convolution layers")
        if self.output and "output" not in found.kinds.values():
            raise no_output(self.output, found.kinds)
        kinds = {name: found.kinds[name] for name in self.kinds_by_type if name in found.kinds}
        alone = {name: TRAINING for name, why in found.left.items() if why == UNUSED and name in trained}
        return Layers(kinds, {**found.left, **alone})

    def _trained(self, net: nn.Module) -> set[str]:
        """Prunable weights that learn in training; raises UserError if its outputs fit neither targets nor task."""
        count = min(2, max(1, self.batch_size // self.batch_norm_parts))  # as many as batch norm sees, if that is one
        rows = np.arange(count) % len(self.data.train)
        inputs, targets = normalized(self.data, self.data.train.take(rows))
        outputs = outputs_of(net, inputs)
        check_kept(self.net(), self.net(), inputs)
        check_shape(net, outputs, self.data, len(inputs))
        check_task(self.task, outputs, targets)
        return reached(net, outputs, prunable(net))
