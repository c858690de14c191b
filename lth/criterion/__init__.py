"""Pruning criteria: (net, trained, batch) -> scores, one per prunable weight; high scores stay.

A criterion sees W_k (the ticket's weights), W_T and a batch (inputs, targets) of training data; one that needs the loss
has a keyword `task` and is given that of the recipe. It modifies nothing: gradients are taken by `functional_call`.
Randomness is seeded by (replicate, level).
"""

from lth.criterion.activation import wanda
from lth.criterion.gradient import gradient, grasp, snip, synflow
from lth.criterion.inverse import inverted
from lth.criterion.unit import batch_norm_scale, neuron_l1, neuron_l2
from lth.criterion.weights import (
    large_final_diff_sign,
    large_final_same_sign,
    large_init,
    large_init_large_final,
    magnitude,
    magnitude_increase,
    magnitude_increase_diff_sign,
    magnitude_increase_same_sign,
    movement,
    random,
    small_final,
    small_init,
    small_init_small_final,
)

__all__ = [
    "batch_norm_scale",
    "gradient",
    "grasp",
    "inverted",
    "large_final_diff_sign",
    "large_final_same_sign",
    "large_init",
    "large_init_large_final",
    "magnitude",
    "magnitude_increase",
    "magnitude_increase_diff_sign",
    "magnitude_increase_same_sign",
    "movement",
    "neuron_l1",
    "neuron_l2",
    "random",
    "small_final",
    "small_init",
    "small_init_small_final",
    "snip",
    "synflow",
    "wanda",
]
