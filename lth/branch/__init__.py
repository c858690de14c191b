"""Controls: Trained -> (Recipe, Ticket). A branch leaves the main line: its net is reported and not pruned further.

`lth.quantization` has two more branches of the same type. The name of the branch and the draw are set by the job. One
that has a keyword `line` is given the trained tickets of its replicate, from the dense net to its own; one that has
`inverse`, the pruning by the opposite criterion; one that has `drawn`, the masks that its level would be drawn with at
the ends of the epochs of the training before, a `lth.early_bird.Drawn`: an epoch has the steps of its argument `every`,
or sees all examples once. One whose tickets train for other steps than the ticket beside them declares them, for
plans, with `lth.branch.steps.trains`.
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
from lth.branch.early import early_bird
from lth.branch.frozen import freeze, freeze_growing, freeze_growing_all, frozen_model
from lth.branch.scratch import Budget, scratch, stretched
from lth.branch.sign import constant, flip_signs, reshuffle, signed_constant, signed_reinitialize, signed_reshuffle
from lth.branch.supermask import edge_popup, learned_supermask, supermask, supermask_constant

__all__ = [
    "Budget",
    "Control",
    "Init",
    "connect",
    "constant",
    "continued",
    "early_bird",
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
    "scratch",
    "shuffle",
    "signed_constant",
    "signed_reinitialize",
    "signed_reshuffle",
    "stretched",
    "supermask",
    "supermask_constant",
]
