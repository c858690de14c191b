"""Tables -> figures in the style of Frankle & Carbin 2019: mean over replicates, bars from minimum to maximum.

matplotlib is imported when the first figure is drawn, not with this package.
"""

from typing import TYPE_CHECKING

from lth.analysis.plot.bits import bits
from lth.analysis.plot.connectivity import connectivity
from lth.analysis.plot.cost import cost, costs
from lth.analysis.plot.curves import curves
from lth.analysis.plot.distances import distances
from lth.analysis.plot.labels import LABELS, NAMES, branch_label, names, short_names
from lth.analysis.plot.lines import lines
from lth.analysis.plot.loss import loss, lost
from lth.analysis.plot.mask import mask
from lth.analysis.plot.pareto import front, pareto
from lth.analysis.plot.sparsity import during, evaluated, sparsity
from lth.analysis.plot.stamp import reductions
from lth.analysis.plot.starts import starts
from lth.analysis.plot.style import drawn, key, save
from lth.analysis.plot.times import times

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Figure

__all__ = [
    "LABELS",
    "NAMES",
    "bits",
    "branch_label",
    "connectivity",
    "cost",
    "costs",
    "curves",
    "distances",
    "drawn",
    "during",
    "evaluated",
    "front",
    "key",
    "lines",
    "loss",
    "lost",
    "mask",
    "names",
    "pareto",
    "reductions",
    "save",
    "short_names",
    "sparsity",
    "starts",
    "times",
]
