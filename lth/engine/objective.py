"""Loss of a net as a function of its weights: what `torch.func` maps over the tickets of a stack."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call

from lth.recipe import Recipe
from lth.ticket import prunable


class Objective:
    """The loss of one ticket, by a recipe. net: gives the architecture; its own weights are not used."""

    def __init__(self, net: nn.Module, recipe: Recipe, device: torch.device) -> None:
        self.net, self.recipe, self.device = net, recipe, device
        self.penalized = [*prunable(net)]
        self.exact = torch.float32 if device.type == "mps" else torch.float64  # which MPS does not have

    def __call__(self, weights: Mapping[str, Tensor], x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """(loss of a batch, the same with the penalty of the recipe's regularization): two scalars."""
        loss = losses(self.outputs(weights, x), y).mean()
        penalty = self.recipe.regularization([weights[name] for name in self.penalized])
        return loss, loss if penalty is None else loss + penalty

    def scores(self, weights: Mapping[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        """Sum of the losses of a batch, and how many of its examples are predicted correctly: 2, of type `exact`."""
        outputs = self.outputs(weights, x)
        return torch.stack([each.to(self.exact).sum() for each in (losses(outputs, y), correct(outputs, y))])

    def outputs(self, weights: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """float32, B x C."""
        if self.recipe.precision != "bf16":
            outputs: Tensor = functional_call(self.net, weights, (x,))  # type: ignore[arg-type]
            return outputs
        # Without the cache of autocast, which would keep tensors of one captured graph for the next.
        with torch.autocast(self.device.type, torch.bfloat16, cache_enabled=False):
            return functional_call(self.net, weights, (x,)).float()  # type: ignore[arg-type, no-any-return]


def losses(outputs: Tensor, targets: Tensor) -> Tensor:
    """Loss of each example: cross-entropy in nats, B."""
    return nn.functional.cross_entropy(outputs, targets, reduction="none")


def correct(outputs: Tensor, targets: Tensor) -> Tensor:
    """True where an example is predicted correctly: B."""
    return outputs.argmax(1) == targets
