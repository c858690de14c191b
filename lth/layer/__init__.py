"""The layers of a net that can be pruned: which they are, which gives the outputs, and what each of them costs."""

from lth.layer.changed import Changed, only_layers_read
from lth.layer.kind import (
    BATCH_NORMS,
    CONVOLUTIONS,
    TRANSPOSED,
    bias_of,
    has,
    layer_of,
    only_its_own,
    outputs_first,
    prunable,
    rows_first,
)
from lth.layer.layers import (
    NO_LAYER,
    TRAINING,
    UNFOLLOWED,
    UNUSED,
    Layers,
    layers,
    no_output,
    only_computed,
    reached,
    with_others,
)
from lth.layer.trace import Cost, Trace, macs, trace

__all__ = [
    "BATCH_NORMS",
    "CONVOLUTIONS",
    "NO_LAYER",
    "TRAINING",
    "TRANSPOSED",
    "UNFOLLOWED",
    "UNUSED",
    "Changed",
    "Cost",
    "Layers",
    "Trace",
    "bias_of",
    "has",
    "layer_of",
    "layers",
    "macs",
    "no_output",
    "only_computed",
    "only_its_own",
    "only_layers_read",
    "outputs_first",
    "prunable",
    "reached",
    "rows_first",
    "trace",
    "with_others",
]
