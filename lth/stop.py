"""(dense, trained) -> whether to stop pruning: the question after every round of prune and fine-tune.

All rules look at W_T, the weights that would be pruned next, and at validation data only. Several rules stop at the
first that says so.
"""

from lth.ticket import Trained, remaining, total


def accuracy_drop(dense: Trained, trained: Trained, *, points: float = 1.0) -> bool:
    """The validation accuracy of W_T is more than `points` percentage points below that of the dense net."""
    before, now = (float(t.evaluations["validation_accuracy"].iloc[-1]) for t in (dense, trained))
    return round(100 * (before - now), 9) > points


def density(dense: Trained, trained: Trained, *, below: float = 0.05) -> bool:
    """Less than the share `below` of the prunable weights remains."""
    mask = trained.ticket.mask
    return remaining(mask) < below * total(mask)


def size(dense: Trained, trained: Trained, *, below: int = 100_000) -> bool:
    """What remains takes less than `below` bytes in float32: the kept weights and all that is never pruned."""
    weights, mask = trained.ticket.weights, trained.ticket.mask
    others = sum(w.numel() for name, w in weights.items() if name not in mask and w.is_floating_point())
    return 4 * (remaining(mask) + others) < below
