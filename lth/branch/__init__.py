"""Trained -> (Recipe, Ticket): the controls. A branch leaves the main line: its net is reported and not pruned further.

`lth.quantization` has two more branches of the same type. The name of the branch and the draw are set by the job. One
that has a keyword `line` is given the trained tickets of its replicate, from the dense net to its own; one that has
`inverse`, the pruning by the opposite criterion.
"""

from lth.branch.control import (
    Control,
    Init,
    connect,
    continued,
    fan_in,
    invert,
    random_sparsity,
    reinitialize,
    reset,
    shuffle,
)
from lth.branch.frozen import freeze, freeze_growing, freeze_growing_all, frozen_model
from lth.branch.sign import constant, flip_signs, reshuffle, signed_constant, signed_reinitialize, signed_reshuffle
from lth.branch.supermask import edge_popup, learned_supermask, supermask, supermask_constant

__all__ = [
    "Control",
    "Init",
    "connect",
    "constant",
    "continued",
    "edge_popup",
    "fan_in",
    "flip_signs",
    "freeze",
    "freeze_growing",
    "freeze_growing_all",
    "frozen_model",
    "invert",
    "learned_supermask",
    "random_sparsity",
    "reinitialize",
    "reset",
    "reshuffle",
    "shuffle",
    "signed_constant",
    "signed_reinitialize",
    "signed_reshuffle",
    "supermask",
    "supermask_constant",
]
