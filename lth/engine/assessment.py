"""Evaluation of all nets of a stack at once."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from lth.engine.objective import Objective
from lth.engine.passes import Passes
from lth.engine.splits import Examples
from lth.engine.stacked import Stacked

# Images of all nets together that are evaluated at once on CUDA, with and without convolutions, and on other devices.
CONVOLUTIONS, OTHERS, CPU = 2**13, 2**18, 1000


class Assessment:
    """Scores of the nets of a stack. Calling it writes those on the validation and the test set to `scores`: R x 4,
    validation loss and accuracy, test loss and accuracy; nothing waits for the device.
    """

    def __init__(
        self,
        objective: Objective,
        nets: Stacked,
        passes: Passes,
        splits: Mapping[str, Examples],
        scaled: Callable[[Tensor], Tensor],
    ) -> None:
        self.objective, self.nets, self.passes, self.splits, self.scaled = objective, nets, passes, splits, scaled
        self.scores = torch.zeros(nets.nets, 4, dtype=objective.exact, device=objective.device)

    def __call__(self) -> None:
        self.scores.copy_(torch.cat([self.score("validation"), self.score("test")], 1))

    def score(self, split: str) -> Tensor:
        """Mean loss and accuracy of each net in evaluation mode: R x 2."""
        images, labels = self.splits[split]
        size, net = self._batch(), self.objective.net
        net.eval()
        with torch.no_grad():
            parts = [
                self.passes.scores(self.objective, self.nets, self.scaled(x), y)
                for x, y in zip(images.split(size), labels.split(size), strict=True)
            ]
        net.train()
        return torch.stack(parts).sum(0) / len(labels)

    def _batch(self) -> int:
        if self.objective.device.type != "cuda":
            return CPU
        convolutions = any(isinstance(layer, nn.Conv2d) for layer in self.objective.net.modules())
        return max(125, (CONVOLUTIONS if convolutions else OTHERS) // self.nets.nets)
