"""Tasks: what a net is trained for. (outputs, targets) -> a loss, which is minimized and decides the early stop, and
a metric, which is reported; each for every example of a batch.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from lth import UserError
from lth.data import Data

Target = Literal["class", "classes", "numbers"]
NEEDS = {
    "class": "integers, N (labels.astype(np.int64); of one-hot rows, labels.argmax(1))",
    "classes": "integers, N x T, a class at each position",
    "numbers": "floats, N or N x k (targets.astype(np.float32))",
}
SUITS = {"class": "classification", "classes": "language_model", "numbers": "regression"}


@dataclass(frozen=True)
class Task:
    """A loss and a metric.

    losses: (outputs, targets) -> one loss for each example, float, B. metrics: likewise the metric. metric: its name in
    columns such as test_accuracy; one that ends in accuracy lies in [0, 1] and is shown in percent. target: "class"
    (outputs B x C, targets int64, B), "classes" at T positions (B x T x C; int64, B x T) or "numbers" (B x k; float32,
    B x k).
    """

    name: str
    losses: Callable[[Tensor, Tensor], Tensor]
    metrics: Callable[[Tensor, Tensor], Tensor]
    metric: str = "accuracy"
    target: Target = "class"

    def __post_init__(self) -> None:
        if self.target not in get_args(Target):
            raise UserError(f"target={self.target}: choose one of {', '.join(get_args(Target))}")
        if self.metric == "loss":
            raise UserError(f"task {self.name}: the metric can't be called loss, which names the columns of the loss")

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean loss of a batch, a scalar: what training minimizes."""
        return self._reduced(outputs, targets, "mean")

    def total(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Sum of the losses, a scalar."""
        return self._reduced(outputs, targets, "sum")

    def _reduced(self, outputs: Tensor, targets: Tensor, reduction: Literal["mean", "sum"]) -> Tensor:
        if self.losses is cross_entropy and self.target == "class":  # the same in fewer operations
            return nn.functional.cross_entropy(outputs, targets, reduction=reduction)
        losses = self.losses(outputs, targets)
        return losses.mean() if reduction == "mean" else losses.sum()

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of an evaluation."""
        return (
            "step",
            "train_loss",
            "validation_loss",
            f"validation_{self.metric}",
            "test_loss",
            f"test_{self.metric}",
        )

    def check(self, data: Data) -> None:
        """Raise UserError if the targets of the data are of another kind."""
        targets = data.train.targets
        kind = "numbers" if data.classes is None else "class" if targets.ndim == 1 else "classes"
        if kind != self.target:
            shape = " x ".join(["N", *map(str, targets.shape[1:])])
            raise UserError(
                f"task={self.name} needs targets that are {NEEDS[self.target]}, and those of {data.name} are "
                f"{targets.dtype}, {shape}: convert them, or choose task={SUITS[kind]}"
            )


def classification() -> Task:
    """A class for each input, by cross-entropy in nats; the metric is accuracy. Outputs are logits, B x C."""
    return Task("classification", cross_entropy, correct)


def one_hot() -> Task:
    """A class for each input, by half the squared error of a sigmoid for each class, 1 for the right one and 0 for the
    others, summed over classes; the metric is accuracy. Outputs are the sigmoids' arguments, B x C.
    """
    return Task("one_hot", sigmoid_error, correct)


def language_model() -> Task:
    """The next token at each position, by cross-entropy in nats, and its accuracy, both means over the positions of an
    example. Outputs are logits, B x T x V; the targets are the inputs, one position on.
    """
    return Task("language_model", cross_entropy, correct, target="classes")


def regression() -> Task:
    """Numbers, by squared error; the metric is the absolute error. Both are means over the k columns, in the units of
    the targets. Outputs are B x k.
    """
    return Task("regression", squared_error, absolute_error, "absolute_error", "numbers")


def cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy in nats: logits, B x C or B x T x C -> B, means over the positions."""
    losses = nn.functional.cross_entropy(outputs.flatten(0, -2), targets.flatten(), reduction="none")
    return losses.view(len(targets), -1).mean(1)


def sigmoid_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """Half the squared error of sigmoids, summed over classes: B x C -> B."""
    wanted = nn.functional.one_hot(targets, outputs.shape[1]).to(outputs.dtype)
    return (outputs.sigmoid() - wanted).square().sum(1) / 2


def correct(outputs: Tensor, targets: Tensor) -> Tensor:
    """Share of positions at which the largest logit is that of the class: B x C or B x T x C -> B."""
    kind = torch.float32 if outputs.device.type == "mps" else torch.float64  # which MPS does not have
    return (outputs.argmax(-1) == targets).view(len(targets), -1).to(kind).mean(1)


def squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean squared error over the columns: B x k -> B."""
    return (outputs - targets).square().mean(1)


def absolute_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean absolute error over the columns: B x k -> B."""
    return (outputs - targets).abs().mean(1)


CLASSIFICATION = classification()
