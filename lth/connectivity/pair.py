"""Distance of two nets, signs that differ, and how they answer differently."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from lth.task import correct
from lth.ticket import Mask, Weights, remaining


def distance(first: Weights, second: Weights, mask: Mask | None = None) -> float:
    """L2 distance of two nets: over the kept weights of a mask, or over all floating-point tensors."""
    a, b = _flat(first, mask), _flat(second, mask)
    return float(torch.linalg.vector_norm(a - b))


def angle(first: Weights, second: Weights, mask: Mask | None = None) -> float:
    """Angle between two nets as vectors, in degrees, likewise; NaN if one of them is 0."""
    a, b = _flat(first, mask), _flat(second, mask)
    # |a/|a| - b/|b|| and its counterpart: exact for small angles too, where the cosine is not (Kahan 2006).
    a, b = a / torch.linalg.vector_norm(a), b / torch.linalg.vector_norm(b)
    halves = torch.linalg.vector_norm(a - b), torch.linalg.vector_norm(a + b)
    return math.degrees(2 * math.atan2(*map(float, halves)))


def sign_flips(first: Weights, second: Weights, mask: Mask) -> float:
    """Share of the kept weights of a mask whose signs in two nets are opposite, in [0, 1]; 0 has no sign."""
    flips = sum(int((first[name].sign() * second[name].sign() < 0)[kept].sum()) for name, kept in mask.items())
    return flips / max(1, remaining(mask))


def disagreement(first: Tensor, second: Tensor) -> float:
    """Share of examples (or positions) to which two nets, by their outputs, give different classes."""
    return float((first.argmax(-1) != second.argmax(-1)).double().mean())


def ensemble(members: Sequence[Tensor], targets: Tensor, *, sigmoid: bool = False) -> float:
    """Accuracy, in [0, 1], of the mean of the members' probabilities, by softmax over classes or by a sigmoid each."""
    outputs = torch.stack([each.double() for each in members])
    mean = (outputs.sigmoid() if sigmoid else outputs.softmax(-1)).mean(0)
    return float(correct(mean, targets).mean())


def _flat(weights: Weights, mask: Mask | None) -> Tensor:
    """The kept weights of a mask, or all floating-point tensors, as one vector in float64, by name."""
    names = sorted(name for name, value in weights.items() if value.is_floating_point() and (not mask or name in mask))
    return torch.cat([weights[name][mask[name]] if mask else weights[name].flatten() for name in names]).double()
