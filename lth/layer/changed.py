"""Layers that compute with other weights than they hold, and the refusal of nets that read these weights themselves."""

from typing import cast

import torch
from torch import Tensor, nn

from lth import UserError
from lth.seed import seeded
from lth.weights import copied, equal


class Changed(nn.Module):
    """Base class of layers that compute with other weights than the parameter `weight`."""

    def disguise(self) -> None:
        """Change the parameter, and not what the layer computes, to the last bit."""
        raise NotImplementedError


def only_layers_read(net: nn.Module, inputs: Tensor) -> None:
    """Raise UserError if outputs of the net change with weights by which no layer computes: they are read beside the
    layer, such as by F.linear(x, layer.weight.t()) in the net. inputs: some, B x shape. The net is used up.
    """
    before = _outputs(net, inputs)
    for name, layer in net.eval().named_modules():
        if isinstance(layer, Changed):
            with torch.no_grad():
                layer.disguise()
            if not all(map(equal, before, _outputs(net, inputs))):
                raise UserError(
                    f"branch: {type(net).__name__} reads the weight of {name or 'its layer'} beside the layer, which a "
                    "branch that changes how layers compute would miss: call the layer alone, or leave the branch out"
                )


def _outputs(net: nn.Module, inputs: Tensor) -> list[Tensor]:
    """Outputs in evaluation and in training, by copies: passes may count."""
    found = []
    for training in (False, True):
        copy = copied(net).train(training)
        for layer in copy.modules():
            if isinstance(layer, Changed):
                layer.training = False  # one that draws its weights would draw others in a second call
        with seeded("reads"), torch.no_grad():
            found.append(cast(Tensor, copy(inputs)))
    return found
