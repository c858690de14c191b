"""Tables -> figures in the style of Frankle & Carbin 2019: mean over replicates, bars from minimum to maximum."""

from lth.plot.bits import bits
from lth.plot.cost import cost, spent
from lth.plot.curves import curves
from lth.plot.loss import loss, lost
from lth.plot.mask import mask
from lth.plot.pareto import front, pareto
from lth.plot.sparsity import accuracy_at, during, sparsity
from lth.plot.style import LABELS, NAMES, names, reductions, save

__all__ = [
    "LABELS",
    "NAMES",
    "accuracy_at",
    "bits",
    "cost",
    "curves",
    "during",
    "front",
    "loss",
    "lost",
    "mask",
    "names",
    "pareto",
    "reductions",
    "save",
    "sparsity",
    "spent",
]
