"""(dense, trained) -> stop pruning here? The question after every round of prune and fine-tune.

Rules look at W_T, the weights that would be pruned next, and at validation data only. Of several rules the first that
says yes stops.
"""

from lth.ticket import Trained, remaining, total


def accuracy_drop(dense: Trained, trained: Trained, *, points: float = 1.0) -> bool:
    """The validation accuracy of W_T is more than `points` percentage points below that of the dense net."""
    before, now = (float(t.evaluations["validation_accuracy"].iloc[-1]) for t in (dense, trained))
    return round(100 * (before - now), 9) > points


def density(dense: Trained, trained: Trained, *, below: float = 0.05) -> bool:
    """Less than the share `below` of the prunable weights remains."""
    return remaining(trained.mask) < below * total(trained.mask)


def size(dense: Trained, trained: Trained, *, below: int = 100_000) -> bool:
    """The kept weights and everything that is never pruned take less than `below` bytes in float32."""
    weights, mask = trained.ticket.weights, trained.mask
    others = sum(w.numel() for name, w in weights.items() if name not in mask and w.is_floating_point())
    return 4 * (remaining(mask) + others) < below
