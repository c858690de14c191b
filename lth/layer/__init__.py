"""The layers of a net that can be pruned: which they are, which gives the outputs, and what each of them costs."""

from lth.layer.kind import CONVOLUTIONS, bias_of, has, prunable
from lth.layer.layers import NO_LAYER, TRAINING, UNUSED, Layers, layers, reached
from lth.layer.trace import Cost, Trace, macs, trace

__all__ = [
    "CONVOLUTIONS",
    "NO_LAYER",
    "TRAINING",
    "UNUSED",
    "Cost",
    "Layers",
    "Trace",
    "bias_of",
    "has",
    "layers",
    "macs",
    "prunable",
    "reached",
    "trace",
]
