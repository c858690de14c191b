"""Units (neurons of linear layers, filters of convolutions): what is removed with them, and the net without them.

Units are found by following the net (`coupling`), and removed only where that is exact (`exact`): the smaller net is
compared with the masked one, values and gradients (`equality`).
"""

from lth.neuron.equality import difference
from lth.neuron.exact import Units, groups, units
from lth.neuron.group import Group, Part, left, selected, total, without
from lth.neuron.removal import smaller

# Inputs that nets are compared on.
EXAMPLES = 4

__all__ = [
    "EXAMPLES",
    "Group",
    "Part",
    "Units",
    "difference",
    "groups",
    "left",
    "selected",
    "smaller",
    "total",
    "units",
    "without",
]
