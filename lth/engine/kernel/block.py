"""Steps of a fully connected net on kept weights only: a whole block of steps is one call of a compiled kernel."""

import logging
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from lth import regularization
from lth.engine.kernel import compiled, packed
from lth.keywords import arguments

log = logging.getLogger("lth")


@cache
def announce(kernel: Any) -> None:
    """Say that a kernel is compiled, which takes a while, unless this machine has it."""
    folder = kernel.stats.cache_path
    if folder is None or not any(Path(folder).glob(f"compiled.{kernel.__name__}-*.nbi")):
        log.info("compiling a kernel of sparse training, once on this machine ...")


class Examples(NamedTuple):
    """Examples of a training set.

    inputs: N x features, to be scaled by the mean and deviation of every feature.
    targets: classes, int64, N.
    """

    inputs: np.ndarray
    targets: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray


class Block:
    """A training on kept weights, in the type of the net's parameters.

    layers: as `chain` gives them. masks: of their weights, boolean. optimizer: plain (see `lth.engine.kernel.update`),
    of one group. penalty: none, l1 or l2.
    """

    def __init__(
        self, layers: Sequence[nn.Linear], masks: Sequence[Tensor], optimizer: Optimizer, penalty: Callable[..., Any]
    ) -> None:
        places = [packed.places_of(mask) for mask in masks]
        self.optimizer, self.taken = optimizer, 0
        self.net, self.back = packed.net(layers, places), packed.back(layers, places)
        self.parts = packed.parts(layers, places)
        self.used = np.unique(places[0][1].numpy())
        self.keys, self.optimizing = _keys(optimizer), _settings(optimizer, penalty)
        self.kind = layers[0].weight.detach().numpy().dtype
        rows = len(self.net.biased)
        self.parameters, self.first, self.second, gradient = (self._zeros(self.net.kept + rows) for _ in range(4))
        x, h, d = (self._zeros(units * compiled.LANES) for units in (layers[0].in_features, rows, rows))
        self.rooms = (x, h, d, gradient, self._zeros(8))
        self.load()

    def load(self) -> None:
        """Take the weights from the net, and the moments from the optimizer's state."""
        for part in self.parts:
            part.pack(part.parameter, self.parameters)
            for key, moment in self._moments():
                if part.parameter in self.optimizer.state:
                    part.pack(self.optimizer.state[part.parameter][key], moment)
        slots = [self.optimizer.state[part.parameter] for part in self.parts if part.parameter in self.optimizer.state]
        self.taken = max((int(slot.get("step", 1)) for slot in slots), default=0)

    def store(self) -> None:
        """Give the net its weights, and the optimizer its state."""
        for part in self.parts:
            with torch.no_grad():
                part.parameter.copy_(part.unpack(self.parameters))
            for key, moment in self._moments() if self.taken else ():
                slot = self.optimizer.state[part.parameter]
                slot[key] = part.unpack(moment)
                if type(self.optimizer) is not SGD:
                    slot["step"] = torch.tensor(float(self.taken))

    def take(self, order: np.ndarray, examples: Examples, rates: Sequence[float]) -> Tensor:
        """Take steps and return their mean losses. order: rows of the examples, int64, steps x B. rates: of the
        steps.
        """
        losses = np.empty(len(order), self.kind)
        compiled.steps(
            self.net, self.back, examples[:2], (self.used, *examples[2:]), order, self.optimizing, self.taken,
            np.array(rates, np.float64), (self.parameters, self.first, self.second), self._rooms(examples), losses,
        )  # fmt: skip
        self.taken += len(order)
        return torch.from_numpy(losses)

    def score(self, examples: Examples) -> tuple[float, int]:
        """(sum of the losses, number of correct ones)."""
        scaling = (self.used, *examples[2:])
        loss, correct = compiled.score(self.net, scaling, *examples[:2], self.parameters, self._rooms(examples))
        return float(loss), int(correct)

    def _moments(self) -> list[tuple[str, np.ndarray]]:
        return [*zip(self.keys, (self.first, self.second), strict=False)]

    def _rooms(self, examples: Examples) -> tuple[np.ndarray, ...]:
        return (np.empty(examples.inputs.shape[1] * compiled.LANES, examples.inputs.dtype), *self.rooms)

    def _zeros(self, size: int) -> np.ndarray:
        return np.zeros(size, self.kind)


def _keys(optimizer: Optimizer) -> tuple[str, ...]:
    """Names of the moments in the optimizer's state."""
    if type(optimizer) is SGD:
        return ("momentum_buffer",) if optimizer.param_groups[0]["momentum"] else ()
    return ("exp_avg", "exp_avg_sq")


def _settings(optimizer: Optimizer, penalty: Callable[..., Any]) -> tuple[int, np.ndarray]:
    """Kind of the optimizer, and its settings: strengths of l1 and l2, weight decay, and momentum, dampening, nesterov
    (SGD) or beta1, beta2, epsilon.
    """
    function, given = arguments(penalty)
    strength = given.get("strength", 0.0)
    group = optimizer.param_groups[0]
    names = ("momentum", "dampening", "nesterov") if type(optimizer) is SGD else ("beta1", "beta2", "eps")
    own = {**group, **dict(zip(("beta1", "beta2"), group.get("betas", ()), strict=False))}
    values = [float(own[name]) for name in ("weight_decay", *names)]
    decoupled = own.get("decoupled_weight_decay", type(optimizer) is AdamW)
    kind = compiled.SGD if type(optimizer) is SGD else compiled.ADAMW if decoupled else compiled.ADAM
    penalties = [strength * (function is each) for each in (regularization.l1, regularization.l2)]
    return kind, np.array([*penalties, *values])
