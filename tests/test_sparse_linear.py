"""Linear layers that hold kept weights only, alone and in nets of any kind, compared with PyTorch's."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small import COLOUR, Stop, adam, conv_net, everything_net, few, half_pruned, many, momentum, net, recipe, same
from test_kernel import clipped, sparse_ticket, trained
from torch import Tensor, nn

from lth import engine, regularization, task
from lth.augment import flip_crop
from lth.data import diabetes, text
from lth.engine.kernel.linear import SparseLinear
from lth.model import transformer
from lth.recipe import Recipe
from lth.ticket import Ticket


@many
@given(
    shape=st.lists(st.integers(1, 9), min_size=1, max_size=3),
    features=st.integers(1, 40),
    units=st.integers(1, 40),
    density=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    bias=st.booleans(),
    seed=st.integers(0, 99),
)
def test_outputs_and_gradients_are_those_of_the_masked_layer_in_float64(
    shape: list[int], features: int, units: int, density: float, bias: bool, seed: int
) -> None:
    torch.manual_seed(seed)
    layer = nn.Linear(features, units, bias=bias, dtype=torch.float64)
    mask = torch.rand(units, features) < density
    layer.weight.data.mul_(mask)
    sparse = SparseLinear(layer, mask)
    x = torch.randn(*shape, features, dtype=torch.float64, requires_grad=True)
    gradient = torch.randn(*shape, units, dtype=torch.float64)
    one, other = layer(x), sparse(x)
    assert torch.allclose(one, other, rtol=1e-13, atol=1e-13)
    expected = torch.autograd.grad(one, [x, layer.weight, *([layer.bias] if bias else [])], gradient)
    found = torch.autograd.grad(other, [x, sparse.weight, *([sparse.bias] if bias else [])], gradient)
    assert torch.allclose(expected[0], found[0], rtol=1e-12, atol=1e-12)
    assert torch.allclose(expected[1][mask], found[1], rtol=1e-12, atol=1e-12)
    assert not bias or torch.allclose(expected[2], found[2], rtol=1e-12, atol=1e-12)


def test_values_are_kept_in_the_order_of_their_places() -> None:
    layer = nn.Linear(2, 2, bias=False)
    layer.weight.data = torch.tensor([[1.0, 2.0], [0.0, 4.0]])
    sparse = SparseLinear(layer, torch.tensor([[True, True], [False, True]]))
    assert sparse.weight.tolist() == [1, 2, 4]
    assert sparse(torch.tensor([[10.0, 1.0]])).tolist() == [[12.0, 4.0]]
    assert sparse.unpack(torch.tensor([5.0, 6.0, 7.0])).tolist() == [[5, 6], [0, 7]]


def squashed(shape: Sequence[int], classes: int) -> nn.Module:
    """19,200 and 1,200 weights with a tanh between them, which no kernel takes as a whole."""
    width = math.prod(shape)
    return nn.Sequential(nn.Flatten(), nn.Linear(width, 400), nn.Tanh(), nn.Linear(400, classes))


rmsprop = partial(torch.optim.RMSprop, lr=0.001)
amsgrad = partial(torch.optim.Adam, lr=0.01, amsgrad=True, fused=True)
FUSED = partial(torch.optim.SGD, lr=0.1, momentum=0.9, fused=True)
COMBINATIONS: dict[str, dict[str, Any]] = {
    "convolutions": {"model": conv_net},
    "dropout": {"model": everything_net, "data": COLOUR, "optimizer": momentum},
    "augmented": {"model": everything_net, "data": COLOUR, "augment": partial(flip_crop, pad=1)},
    "rmsprop": {"optimizer": rmsprop},
    "amsgrad": {"optimizer": amsgrad},
    "l1": {"model": conv_net, "regularization": partial(regularization.l1, strength=1e-3)},
    "l2": {"model": squashed, "regularization": partial(regularization.l2, strength=1e-3)},
    "numbers": {"data": diabetes(), "task": task.regression()},
}


@pytest.mark.parametrize("name", COMBINATIONS)
def test_a_training_is_the_same_as_with_dense_layers_but_for_rounding(name: str) -> None:
    one, other = (
        recipe(**{"optimizer": momentum, **COMBINATIONS[name]}, kernel=kernel) for kernel in ("dense", "sparse")
    )
    ticket = sparse_ticket(one, replicate=2)
    a, b = trained(one, ticket, keep=[5]), trained(other, ticket, keep=[5])
    assert (a.facts["kernel"], b.facts["kernel"]) == ("dense", "sparse")
    assert a.facts["macs_remaining"] == b.facts["macs_remaining"]
    for step, near in ((5, 1e-4), (20, 1e-3)):
        assert a.at(step).keys() == b.at(step).keys()
        for key, weight in a.at(step).items():
            assert torch.allclose(weight, b.at(step)[key], atol=near, rtol=near), (step, key)
    assert all(not b.weights()[key][~mask].any() for key, mask in ticket.mask.items())


def test_a_layer_without_any_weight_left_is_trained_as_the_others() -> None:
    one, other = (recipe(model=squashed, optimizer=amsgrad, kernel=kernel) for kernel in ("dense", "sparse"))
    ticket = sparse_ticket(one)
    ticket = replace(ticket, mask={**ticket.mask, "3.weight": torch.zeros_like(ticket.mask["3.weight"])})
    a, b = trained(one, ticket), trained(other, ticket)
    assert (a.facts["kernel"], b.facts["kernel"]) == ("dense", "sparse")
    assert all(torch.allclose(w, b.weights()[name], atol=1e-3) for name, w in a.weights().items())


@pytest.mark.long
def test_a_transformer_is_trained_on_kept_weights() -> None:
    data = text(length=8)
    model = partial(transformer, d_model=16, heads=2, layers=1, feed_forward=32)
    settings = recipe(model=model, data=data, task=task.language_model(), optimizer=momentum, steps=4)
    ticket = sparse_ticket(settings)
    a, b = (trained(replace(settings, kernel=kernel), ticket) for kernel in ("dense", "sparse"))
    assert b.facts["kernel"] == "sparse"
    assert all(torch.allclose(w, b.weights()[name], atol=1e-3) for name, w in a.weights().items())


def test_in_bf16_sparse_layers_compute_in_float32() -> None:
    settings = recipe(model=squashed, optimizer=momentum)
    ticket = sparse_ticket(settings)
    a, b = (trained(replace(settings, kernel="sparse", precision=precision), ticket) for precision in ("fp32", "bf16"))
    assert b.facts["kernel"] == "sparse"
    assert same(a.weights(), b.weights())


@pytest.mark.long
@pytest.mark.parametrize("name", ["dropout", "rmsprop", "amsgrad", "numbers"])
@few
@given(at=st.integers(1, 20))
def test_it_resumes_bit_for_bit(name: str, at: int) -> None:
    settings = recipe(**{"optimizer": adam, **COMBINATIONS[name]}, kernel="sparse")
    ticket, states = sparse_ticket(settings), dict[Ticket, Any]()
    expected = trained(settings, ticket)
    with pytest.raises(engine.Interrupted):
        trained(settings, ticket, callback=Stop(at), save=states.__setitem__)
    resumed = trained(settings, ticket, states=states)
    assert same(expected.weights(), resumed.weights())
    assert expected.evaluations.equals(resumed.evaluations)


@pytest.mark.parametrize("kernels", [("dense", "sparse"), ("sparse", "dense")])
@pytest.mark.parametrize("model", [conv_net, net], ids=["layers", "net"])
def test_any_kernel_goes_on_from_the_state_of_another(model: Any, kernels: tuple[str, str]) -> None:
    first, second = (recipe(model=model, optimizer=FUSED, kernel=kernel) for kernel in kernels)
    ticket, states = sparse_ticket(first), dict[Ticket, Any]()
    with pytest.raises(engine.Interrupted):
        trained(first, ticket, callback=Stop(9), save=states.__setitem__)
    done, expected = trained(second, ticket, states=states), trained(first, ticket)
    assert all(torch.allclose(w, done.weights()[name], atol=1e-4) for name, w in expected.weights().items())


def test_a_batch_of_no_examples_has_no_outputs() -> None:
    layer = nn.Linear(5, 3)
    sparse, x = SparseLinear(layer, torch.rand(3, 5) < 0.5), torch.zeros(0, 5, requires_grad=True)
    sparse(x).sum().backward()
    assert sparse(x).shape == (0, 3)
    assert x.grad is not None
    assert x.grad.shape == (0, 5)


def test_auto_takes_layers_of_many_weights_of_which_few_are_kept() -> None:
    settings = recipe(model=squashed, data=COLOUR, optimizer=adam)
    assert trained(settings, half_pruned(settings)).facts["kernel"] == "dense"
    assert trained(settings).facts["kernel"] == "sparse"
    small = recipe(model=squashed, optimizer=adam)  # 6,400 weights
    assert trained(small).facts["kernel"] == "dense"


class Direct(nn.Module):
    """A net that takes the weights of its layer itself."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.layer = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x.flatten(1), self.layer.weight, self.layer.bias).tanh()


def direct(shape: Sequence[int], classes: int) -> nn.Module:
    return Direct(math.prod(shape), classes)


class Shaped(Direct):
    """A net that computes something else where its layer is not a matrix."""

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x.flatten(1)) * self.layer.weight.ndim


def shaped(shape: Sequence[int], classes: int) -> nn.Module:
    return Shaped(math.prod(shape), classes)


def without_decay_of_vectors(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    every = [*parameters]
    groups = [{"params": [p for p in every if p.ndim > 1], "weight_decay": 0.1},
              {"params": [p for p in every if p.ndim < 2], "weight_decay": 0.0}]  # fmt: skip
    return torch.optim.SGD(groups, lr=0.1)


class Listed(nn.Module):
    """A net that calls its layer by way of a list, which is not a part of it."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.layers = [nn.Linear(width, classes)]
        self.add_module("first", self.layers[0])

    def forward(self, x: Tensor) -> Tensor:
        return self.layers[0](x.flatten(1)).tanh()


def listed(shape: Sequence[int], classes: int) -> nn.Module:
    return Listed(math.prod(shape), classes)


def alone(shape: Sequence[int], outputs: int) -> nn.Module:
    return nn.Linear(math.prod(shape), outputs)


def twice(shape: Sequence[int], classes: int) -> nn.Module:
    width = math.prod(shape)
    layer = nn.Linear(width, width)
    return nn.Sequential(nn.Flatten(), layer, nn.Tanh(), layer, nn.Tanh(), nn.utils.spectral_norm(nn.Linear(width, 3)))


class Encoder(nn.Module):
    """A layer whose weights PyTorch takes directly in evaluation without gradients, its fast path."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.encoder = nn.TransformerEncoderLayer(width, 2, 64, dropout=0.0, batch_first=True)
        self.output = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        encoded: Tensor = self.encoder(x.flatten(2).mean(1, keepdim=True))
        return self.output(encoded[:, 0])


def encoder(shape: Sequence[int], classes: int) -> nn.Module:
    return Encoder(math.prod(shape[1:]), classes)


@pytest.mark.parametrize(
    "changes",
    [
        {"model": direct},
        {"model": encoder},
        {"model": shaped},
        {"model": squashed, "optimizer": without_decay_of_vectors},
        {"model": twice},
        {"model": listed},
        {"model": squashed, "optimizer": clipped},
        {"model": alone, "data": diabetes(), "task": task.regression()},
    ],
    ids=[
        "weights taken directly",
        "fast path",
        "shape looked at",
        "by shape",
        "used twice",
        "also in a list",
        "hook",
        "the net",
    ],
)
def test_nets_that_would_compute_or_learn_otherwise_stay_dense(
    changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lth.engine.kernel.replace.LEAST", 0)
    settings: Recipe = recipe(**{"optimizer": adam, **changes})
    assert trained(settings, sparse_ticket(settings)).facts["kernel"] == "dense"
    usual = recipe(model=squashed, optimizer=adam)
    assert trained(usual, sparse_ticket(usual)).facts["kernel"] == "sparse"
