"""Nets that draw random numbers: of PyTorch, Python and NumPy, when they are made, in training and in evaluation."""

import random
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from small import DATA, half_pruned, recipe
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from lth import criterion, quantization
from lth.compress import package
from lth.imp import batch, untrained
from lth.recipe import Recipe
from lth.ticket import Trained
from lth.weights import equal

DRAWS: dict[str, Callable[[], float]] = {
    "python": random.random,
    "numpy": lambda: float(np.random.random()),
    "torch": lambda: float(torch.rand(())),
}


def start(number: int) -> None:
    random.seed(number)
    np.random.seed(number)
    torch.manual_seed(number)


def generators() -> tuple[str, str, str]:
    return str(random.getstate()), str(np.random.get_state()), str(torch.get_rng_state().tolist())


class Noisy(nn.Module):
    """Two layers, the outputs of the first scaled at random; a checkpoint computes them again in the backward pass."""

    def __init__(self, shape: Sequence[int], classes: int) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(16, 6), nn.Linear(6, classes)

    def part(self, x: Tensor) -> Tensor:
        factor: float = sum(draw() for draw in DRAWS.values())
        return torch.tanh(factor * self.first(x))

    def forward(self, x: Tensor) -> Tensor:
        outputs: Tensor = self.last(checkpoint(self.part, x.flatten(1), use_reentrant=False))
        return outputs


def scores(name: str, settings: Recipe, trained: Trained) -> Mapping[str, Tensor]:
    found: Mapping[str, Tensor] = getattr(criterion, name)(settings.net(), trained, batch(settings, trained.ticket))
    return found


def ranges(settings: Recipe, trained: Trained) -> Mapping[str, Tensor]:
    net = quantization.quantized(settings.net(), quantization.Scheme(4, 4))
    quantization.calibrate(net, [settings.data.example(4)])
    return {name: part.input(torch.linspace(-1, 1, 9)) for name, part in quantization.layers(net)}


PASSES: dict[str, Callable[[Recipe, Trained], Mapping[str, Tensor]]] = {
    **{name: partial(scores, name) for name in ("snip", "gradient", "grasp", "synflow", "wanda")},
    "calibrate": ranges,
}


@pytest.mark.parametrize("name", PASSES)
def test_a_pass_of_a_net_that_draws_gives_the_same_each_time_and_leaves_the_generators_alone(name: str) -> None:
    settings = recipe(model=Noisy)
    trained, found = untrained(half_pruned(settings)), []
    for number in (1, 2):
        start(number)
        before = generators()
        found.append(PASSES[name](settings, trained))
        assert generators() == before
    assert found[0].keys() == found[1].keys() == {"first.weight", "last.weight"}
    assert all(torch.equal(found[0][each], found[1][each]) for each in found[0])


class Chosen(nn.Module):
    """One of three layers, chosen at random in each pass."""

    def __init__(self, draw: Callable[[], float], classes: int) -> None:
        super().__init__()
        self.draw, self.experts = draw, nn.ModuleList(nn.Linear(16, classes) for _ in range(3))

    def forward(self, x: Tensor) -> Any:
        return self.experts[int(3 * self.draw())](x.flatten(1))


@pytest.mark.parametrize("name", DRAWS)
def test_layers_that_a_few_passes_choose_at_random_are_pruned(name: str) -> None:
    for number in range(3):
        start(number)
        settings = recipe(model=lambda _, classes: Chosen(DRAWS[name], classes))
        assert settings.layers.kinds == dict.fromkeys((f"experts.{at}.weight" for at in range(3)), "output")


class Permuted(nn.Module):
    """Inputs in an order that is drawn when the net is made, and is in no file."""

    def __init__(self, shape: Sequence[int], classes: int, *, name: str, computes: bool) -> None:
        super().__init__()
        self.part = nn.Linear(16, classes)
        self.order = sorted(range(16), key=lambda _: DRAWS[name]())
        if computes:  # which "meta" can't
            self.bound = float(self.part.weight.detach().abs().max())

    def forward(self, x: Tensor) -> Any:
        return self.part(x.flatten(1)[:, self.order])


@pytest.mark.parametrize("computes", [False, True])
@pytest.mark.parametrize("name", ["python", "numpy"])
def test_a_net_from_a_file_is_made_from_the_numbers_that_it_was_trained_with(name: str, computes: bool) -> None:
    settings = recipe(model=partial(Permuted, name=name, computes=computes))
    trained = untrained(half_pruned(settings))
    start(9)
    net, _ = package.unpack(package.pack(trained, settings, None), settings.model)
    assert net.order == settings.net().order
    assert torch.equal(net(DATA.example(3)), masked_outputs(settings, trained))


def masked_outputs(settings: Recipe, trained: Trained) -> Tensor:
    """Independent of files."""
    net = settings.net()
    net.load_state_dict({name: w * trained.mask.get(name, 1) for name, w in trained.weights().items()})
    outputs: Tensor = net.eval()(DATA.example(3))
    return outputs


def test_tensors_of_other_types_are_not_equal() -> None:
    assert equal(torch.tensor([1.0, np.nan]), torch.tensor([1.0, np.nan]))
    assert not equal(torch.tensor([1.0]), torch.tensor([1.0], dtype=torch.float64))
    assert not equal(torch.tensor([1]), torch.tensor([1.0]))
    assert not equal(torch.zeros(2), torch.zeros(2, 1))
