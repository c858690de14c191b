"""Loss of a net as a function of its weights: what `torch.func` maps over the tickets of a stack."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call

from lth.engine.precision import exact
from lth.recipe import Recipe


class Objective:
    """The loss of one ticket, by a recipe. net: gives the architecture; its own weights are not used. penalized: names
    of the weights that the recipe's regularization takes.
    """

    def __init__(self, net: nn.Module, recipe: Recipe, device: torch.device, penalized: Iterable[str]) -> None:
        self.net, self.recipe, self.device = net, recipe, device
        self.penalized, self.exact = [*penalized], exact(device)

    def __call__(self, weights: Mapping[str, Tensor], x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """(loss of a batch, the same with the penalty of the recipe's regularization): two scalars."""
        loss = self.recipe.task.losses(self.outputs(weights, x), y).mean()
        penalty = self.recipe.regularization([weights[name] for name in self.penalized])
        return loss, loss if penalty is None else loss + penalty

    def scores(self, weights: Mapping[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        """Sums of the losses and of the metrics of a batch: 2, of type `exact`."""
        outputs, task = self.outputs(weights, x), self.recipe.task
        return torch.stack([each.to(self.exact).sum() for each in (task.losses(outputs, y), task.metrics(outputs, y))])

    def outputs(self, weights: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """B x outputs, in the type of the net; float32 under bf16."""
        if self.recipe.precision != "bf16":
            outputs: Tensor = functional_call(self.net, weights, (x,))  # type: ignore[arg-type]
            return outputs
        # Without the cache of autocast, which would keep tensors of one captured graph for the next.
        with torch.autocast(self.device.type, torch.bfloat16, cache_enabled=False):
            return functional_call(self.net, weights, (x,)).float()  # type: ignore[arg-type, no-any-return]
