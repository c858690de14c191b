"""Distributions: (scores, mask, density) -> share of weights that remains in each layer."""

from collections.abc import Callable, Mapping

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from small import many
from torch import Tensor

from lth import UserError
from lth.distribution import balanced, by_kind, by_layer, er, erk, globally, uniform

LENET = {"fc1": (300, 784), "fc2": (100, 300), "out": (10, 100)}
CONV_2 = {"conv1": (64, 3, 3, 3), "conv2": (64, 64, 3, 3), "fc1": (256, 16384), "fc2": (256, 256), "out": (10, 256)}
DISTRIBUTIONS = [by_kind, globally, uniform, er, erk, balanced]


def full(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    return {name: torch.ones(shape, dtype=torch.bool) for name, shape in shapes.items()}


def shares(
    distribution: Callable[..., Mapping[str, float]], shapes: Mapping[str, tuple[int, ...]], density: float
) -> list[float]:
    mask = full(shapes)
    return [round(share, 4) for share in distribution(mask, mask, dict.fromkeys(mask, density)).values()]


# Evci et al. 2020, sparse_utils of the authors' repository, all layers sparse; Conv-2 with kernel sizes.
@pytest.mark.parametrize(
    ("distribution", "shapes", "density", "expected"),
    [
        (er, LENET, 0.20, [0.1622, 0.4694, 1.0]),
        (er, LENET, 0.10, [0.0796, 0.2302, 1.0]),
        (er, LENET, 0.05, [0.0385, 0.1113, 0.9185]),
        (er, LENET, 0.02, [0.0154, 0.0445, 0.3674]),
        (erk, LENET, 0.02, [0.0154, 0.0445, 0.3674]),
        (erk, CONV_2, 0.10, [1.0, 0.0895, 0.0977, 0.1924, 1.0]),
        (erk, CONV_2, 0.05, [0.5171, 0.0445, 0.0486, 0.0956, 1.0]),
        (uniform, LENET, 0.10, [0.1, 0.1, 0.1]),
        # 26,620 weights of 266,200: 12,810 in each of the first two, and all 1,000 of the last
        (balanced, LENET, 0.10, [0.0545, 0.427, 1.0]),
    ],
)
def test_shares_are_those_of_the_formula(
    distribution: Callable[..., Mapping[str, float]],
    shapes: Mapping[str, tuple[int, ...]],
    density: float,
    expected: list[float],
) -> None:
    assert shares(distribution, shapes, density) == expected


@pytest.mark.parametrize("distribution", [globally, uniform, er, erk, balanced])
@many
@given(st.lists(st.tuples(st.integers(1, 12), st.integers(1, 12)), min_size=1, max_size=4), st.floats(0.1, 0.99))
def test_the_total_is_what_the_layers_would_keep_by_kind(
    distribution: Callable[..., Mapping[str, float]], shapes: list[tuple[int, int]], density: float
) -> None:
    mask = full({str(i): shape for i, shape in enumerate(shapes)})
    scores = {name: torch.rand(m.shape, generator=torch.Generator().manual_seed(0)) for name, m in mask.items()}
    total = sum(round(density * m.numel()) for m in mask.values())
    assume(min(m.numel() for m in mask.values()) * density > 3)  # else a layer may lose everything
    found = distribution(scores, mask, dict.fromkeys(mask, density))
    assert all(0 <= share <= 1 for share in found.values())
    assert sum(share * mask[name].numel() for name, share in found.items()) == pytest.approx(total)


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_a_layer_of_density_1_is_left_alone_and_out_of_the_total(
    distribution: Callable[..., Mapping[str, float]],
) -> None:
    mask = full({"a": (4, 5), "b": (2, 3), "c": (4, 5)})
    found = distribution(mask, mask, {"a": 0.5, "b": 1.0, "c": 0.5})
    assert found["b"] == 1.0
    assert found["a"] + found["c"] == pytest.approx(1.0)


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_nothing_to_prune_leaves_every_layer_as_it_is(distribution: Callable[..., Mapping[str, float]]) -> None:
    mask = full({"a": (4, 5)})
    assert distribution(mask, mask, {"a": 1.0}) == {"a": 1.0}


def test_layers_have_shares_of_their_own_in_the_order_of_the_net() -> None:
    mask = full(LENET)
    found = by_layer(mask, mask, dict.fromkeys(mask, 0.5), shares=[0.01, 0.109, 1])
    assert found == {"fc1": 0.01, "fc2": 0.109, "out": 1.0}
    for wrong in ([0.1, 0.1], [0.1, 0.1, 0.1, 0.1], [0.1, 0.0, 0.1], [0.1, 1.1, 0.1]):
        with pytest.raises(UserError, match=r"distribution\.shares=.* each of the 3 layers, fc1, fc2, out"):
            by_layer(mask, mask, dict.fromkeys(mask, 0.5), shares=wrong)
    with pytest.raises(UserError, match="of out would be left"):
        by_layer(mask, mask, dict.fromkeys(mask, 0.5), shares=[0.1, 0.1, 1e-6])


@pytest.mark.parametrize("distribution", [by_kind, uniform, er, erk, balanced])
def test_a_layer_that_would_lose_everything_is_an_error_that_names_it(
    distribution: Callable[..., Mapping[str, float]],
) -> None:
    mask = full({"small": (2, 1), "large": (300, 300)})
    with pytest.raises(UserError, match=r"of (small|all layers) would be left: ask for fewer levels"):
        distribution(mask, mask, dict.fromkeys(mask, 0.000001))


def test_layers_compete_globally_and_may_lose_everything() -> None:
    mask = full({"a": (1, 4), "b": (1, 2)})
    scores = {"a": torch.tensor([[1.0, 2.0, 3.0, 4.0]]), "b": torch.tensor([[5.0, 6.0]])}
    assert globally(scores, mask, dict.fromkeys(mask, 0.5)) == {"a": 0.25, "b": 1.0}
    assert globally(scores, mask, {"a": 0.25, "b": 0.5}) == {"a": 0.0, "b": 1.0}


@pytest.mark.parametrize("distribution", [by_kind, globally, uniform, balanced, er])
def test_a_layer_that_is_left_as_it_is_keeps_the_weights_that_an_updater_has_left(
    distribution: Callable[..., Mapping[str, float]],
) -> None:
    """8 of the 10 weights of a remain, and the 5 of 10 that b has."""
    mask = {"a": torch.ones(2, 5, dtype=torch.bool), "b": torch.arange(10).reshape(2, 5) < 5}
    scores = {name: torch.arange(10.0).reshape(2, 5) for name in mask}
    assert distribution(scores, mask, {"a": 0.8, "b": 1.0}) == pytest.approx({"a": 0.8, "b": 0.5})


def test_a_small_layer_that_would_be_emptied_by_its_share_is_named() -> None:
    mask = full({"small": (2, 1), "large": (10, 10)})
    with pytest.raises(UserError, match="none of the 2 weights of small would be left"):
        uniform(mask, mask, dict.fromkeys(mask, 0.2))  # 20 of 102 weights are left, 0.39 of them in small
    with pytest.raises(UserError, match="none of the 102 weights of all layers would be left"):
        globally(mask, mask, dict.fromkeys(mask, 0.001))
