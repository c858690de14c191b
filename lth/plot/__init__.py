"""Tables -> figures in the style of Frankle & Carbin 2019: mean over replicates, bars from minimum to maximum."""

from lth.plot.curves import curves
from lth.plot.loss import loss, lost
from lth.plot.mask import mask
from lth.plot.sparsity import accuracy_at, during, sparsity
from lth.plot.style import LABELS, NAMES, names, reductions, save

__all__ = [
    "LABELS",
    "NAMES",
    "accuracy_at",
    "curves",
    "during",
    "loss",
    "lost",
    "mask",
    "names",
    "reductions",
    "save",
    "sparsity",
]
