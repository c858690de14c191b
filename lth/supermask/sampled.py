"""Accuracy of nets whose masks are drawn, as columns of a table."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lth import UserError
from lth.data import Data, normalized
from lth.supermask.scored import Scored
from lth.task import Task
from lth.ticket import Mask, Weights
from lth.weights import load

BATCH = 1000  # examples that are evaluated at once


def sampled(
    net: nn.Module,
    weights: Sequence[Weights],
    kept: Mask,
    data: Data,
    task: Task,
    *,
    before: Weights | None = None,
    device: str = "cpu",
    tick: Callable[[], None] = lambda: None,
    draws: int = 10,
) -> list[dict[str, Any]]:
    """Columns for each of several nets of a `bernoulli_model`, as the `compare` of a branch.

    sampled_test_loss, sampled_test_accuracy: means over draws of the mask; draw d is that of step -1 - d, which no
    training has. ones, ones_by_layer: the share of the weights to expect in a mask, the latter as text.
    """
    if draws < 1:
        raise UserError(f"draws={draws}: give at least 1, the number of masks that a net is evaluated with")
    inputs, targets = normalized(data, data.test, device)
    rows = []
    for each in weights:
        load(net.to(device).eval(), each)
        layers = [layer for layer in net.modules() if isinstance(layer, Scored)]
        outputs = []
        for draw in range(draws):
            tick()
            outputs.append(_outputs(net, inputs, layers, -1 - draw))
        means = {name: torch.cat([of(each, targets) for each in outputs]).mean().item()
                 for name, of in (("loss", task.losses), (task.metric, task.metrics))}  # fmt: skip
        rows.append({f"sampled_test_{name}": mean for name, mean in means.items()} | _ones(layers))
    return rows


def _outputs(net: nn.Module, inputs: Tensor, layers: Sequence[Any], step: int) -> Tensor:
    """Outputs of the net with the mask of a step."""
    for layer in layers:
        layer.step.fill_(step)
    with torch.no_grad():
        return torch.cat([net(x) for x in inputs.split(BATCH)])


def _ones(layers: Sequence[Any]) -> dict[str, Any]:
    chances = [layer.scores.detach().sigmoid().flatten() for layer in layers]
    each = " ".join(f"{chance.mean():.4f}" for chance in chances)
    return {"ones": torch.cat(chances).mean().item(), "ones_by_layer": each}
