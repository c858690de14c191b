"""Criteria of what a weight is multiplied with."""

from torch import Tensor, nn

from lth.data import Examples
from lth.layer.norms import input_norms
from lth.ticket import Trained, masked


def wanda(net: nn.Module, trained: Trained, batch: Examples) -> dict[str, Tensor]:
    """|W_T| ||X||: X are the values that a weight is multiplied with, over the batch and, of filters, the places of an
    image, in evaluation mode (Sun et al. 2024, Equation 1). The paper compares within an output: structure=row. It
    prunes one block after the other, and takes X as the pruned ones give it; here all layers are scored in the net so
    far.
    """
    weights = {name: weight.detach() for name, weight in masked(trained.weights(), trained.mask).items()}
    norms = input_norms(net, weights, trained.mask, batch[0])
    return {name: weights[name].abs() * norm for name, norm in norms.items()}
