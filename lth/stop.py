"""Stopping rules: (dense, trained) -> True to stop pruning. Evaluated after every round of pruning and fine-tuning.

Rules use W_T, the weights that would be pruned next, and validation data only. Of several rules, the first that is True
stops.
"""

from lth import UserError
from lth.rules.ranges import check_below
from lth.ticket import Trained, remaining, total


def accuracy_drop(dense: Trained, trained: Trained, *, points: float = 1.0) -> bool:
    """True if the validation accuracy of W_T is more than `points` percentage points below the dense net's."""
    if "validation_accuracy" not in dense.evaluations:
        raise UserError("stop=accuracy_drop compares accuracies, and this task has none: choose stop=density or size")
    before, now = (float(t.evaluations["validation_accuracy"].iloc[-1]) for t in (dense, trained))
    return round(100 * (before - now), 9) > points


def density(dense: Trained, trained: Trained, *, below: float = 0.05) -> bool:
    """True if less than the share `below` of the prunable weights remains."""
    check_below("density", below)
    return remaining(trained.mask) < below * total(trained.mask)


def size(dense: Trained, trained: Trained, *, below: int = 100_000) -> bool:
    """True if the kept weights and all tensors that are never pruned take less than `below` bytes in float32."""
    weights, mask = trained.ticket.weights, trained.mask
    others = sum(w.numel() for name, w in weights.items() if name not in mask and w.is_floating_point())
    return 4 * (remaining(mask) + others) < below
