"""Trained nets beside each other: the line between two, the error barrier on it, distance, disagreement, ensembles.

Two nets are linearly connected if no net on the straight line between their weights has a higher error than they have
themselves (Frankle et al. 2020, arXiv 1912.05671, Section 2). Inputs are scaled, float32, N x shape; targets int64.

Batch norm: the statistics of a net on the line are not those of its ends. norm="estimated" takes them anew from the
training inputs at every point of the line, the ends included; norm="averaged" interpolates those of the ends like the
weights, which overstates barriers.
"""

from lth.connectivity.line import (
    Line,
    Norm,
    barrier,
    estimate_norm,
    interpolated,
    line,
    outputs,
    set_weights,
)
from lth.connectivity.pair import angle, disagreement, distance, ensemble, sign_flips
from lth.connectivity.siblings import compare

__all__ = [
    "Line",
    "Norm",
    "angle",
    "barrier",
    "compare",
    "disagreement",
    "distance",
    "ensemble",
    "estimate_norm",
    "interpolated",
    "line",
    "outputs",
    "set_weights",
    "sign_flips",
]
