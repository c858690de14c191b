"""Evaluation of all nets of a stack at once."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from lth.data import Examples
from lth.engine.objective import Objective
from lth.engine.passes import Passes
from lth.engine.stacked import Stacked
from lth.layer import has

# Images of all nets together that are evaluated at once on CUDA, with and without convolutions, and on other devices.
CONVOLUTIONS, OTHERS, CPU = 2**13, 2**18, 1000


class Assessment:
    """Scores of the nets of a stack. Calling it writes those on the validation and the test set to `scores`: R x 4,
    validation loss and metric, test loss and metric; nothing waits for the device.
    """

    def __init__(
        self,
        objective: Objective,
        nets: Stacked,
        passes: Passes,
        splits: Mapping[str, Examples],
        scale: Callable[[Tensor], Tensor],
    ) -> None:
        self.objective, self.nets, self.passes, self.splits, self.scale = objective, nets, passes, splits, scale
        self.scores = torch.zeros(nets.nets, 4, dtype=objective.exact, device=objective.device)

    def __call__(self) -> None:
        self.scores.copy_(torch.cat([self.score("validation"), self.score("test")], 1))

    def score(self, split: str) -> Tensor:
        """Mean loss and metric of each net in evaluation mode: R x 2."""
        inputs, targets = self.splits[split]
        scale = self.scale if split == "train" else lambda x: x  # the others are scaled already
        size, net = self._batch(), self.objective.net
        net.eval()
        with torch.no_grad():
            parts = [
                self.passes.scores(self.objective, self.nets, scale(x), y)
                for x, y in zip(inputs.split(size), targets.split(size), strict=True)
            ]
        net.train()
        return torch.stack(parts).sum(0) / len(targets)

    def _batch(self) -> int:
        if self.objective.device.type != "cuda":
            return CPU
        most = CONVOLUTIONS if has(self.objective.net, nn.Conv2d) else OTHERS
        return max(125, most // self.nets.nets)
