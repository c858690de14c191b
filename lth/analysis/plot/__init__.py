"""Tables -> figures in the style of Frankle & Carbin 2019: mean over replicates, bars from minimum to maximum."""

from lth.analysis.plot.bits import bits
from lth.analysis.plot.cost import cost, spent
from lth.analysis.plot.curves import curves
from lth.analysis.plot.loss import loss, lost
from lth.analysis.plot.mask import mask
from lth.analysis.plot.pareto import front, pareto
from lth.analysis.plot.sparsity import accuracy_at, during, sparsity
from lth.analysis.plot.style import LABELS, NAMES, names, reductions, save

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
