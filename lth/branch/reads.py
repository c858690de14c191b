"""Refusal of nets in which more than a layer reads its weight, for branches that change how layers compute."""

from typing import Protocol, cast

import torch
from torch import Tensor, nn

from lth import UserError
from lth.recipe import Recipe
from lth.seed import seeded

TOLERANCE = 1e-4  # of the largest output, for weights that are changed and changed back


class _Disguises(Protocol):
    def disguise(self) -> None:
        """Change the weight of the layer, and not what the layer computes."""


def only_layers_read(recipe: Recipe) -> None:
    """Raise UserError if outputs of the net of a recipe depend on the weight of a layer that can `disguise` it by more
    than the layer itself, such as by F.linear(x, layer.weight.t()) in the net.
    """
    net = recipe.net().eval()
    inputs = recipe.data.example(min(2, len(recipe.data.train)))
    before = _outputs(net, inputs)
    for name, layer in net.named_modules():
        if hasattr(layer, "disguise"):
            cast(_Disguises, layer).disguise()
            after = _outputs(net, inputs)
            if not torch.allclose(before, after, rtol=0, atol=TOLERANCE * float(before.abs().max()), equal_nan=True):
                raise UserError(
                    f"branch: {type(net).__name__} reads the weight of {name or 'its layer'} beside the layer, which a "
                    "branch that changes how layers compute would miss: call the layer alone, or leave the branch out"
                )


def _outputs(net: nn.Module, inputs: Tensor) -> Tensor:
    with seeded("reads"), torch.no_grad():
        outputs: Tensor = net(inputs)
    return outputs
