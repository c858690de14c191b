"""(scores, mask, density) -> mask: exact counts."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small import many
from torch import Tensor, nn
from torch.nn.utils import prune

from lth.density import iterative
from lth.model import conv_2, conv_4, conv_6, lenet_300_100, resnet_20, vgg_19
from lth.scope import globally, layerwise
from lth.ticket import full_mask, prunable, remaining, total

Scope = Callable[..., dict[str, Tensor]]
both = pytest.mark.parametrize("scope", [layerwise, globally])
T, F = True, False


def kept(size: int) -> dict[str, Tensor]:
    return {"a": torch.ones(size, dtype=torch.bool)}


def distinct(seed: int, size: int) -> Tensor:
    """Values of both signs, no two of the same magnitude."""
    random = torch.Generator().manual_seed(seed)
    values = torch.randperm(size, generator=random) + 1.0
    return values * (1 - 2 * (torch.rand(size, generator=random) < 0.5).float())


DEEP = {"conv": 0.2, "shortcut": 0.0, "output": 0.0}
SMALL, LARGE = (1, 28, 28), (3, 32, 32)


@pytest.mark.parametrize(
    ("model", "shape", "scope", "rates", "printed"),
    [
        (lenet_300_100, SMALL, layerwise, {}, {3: 51.28, 7: 21.07, 9: 13.52, 15: 3.58, 16: 2.87, 18: 1.85}),
        (conv_2, LARGE, layerwise, {}, {11: 8.81, 14: 4.57}),
        (conv_4, LARGE, layerwise, {}, {11: 11.06, 12: 9.18, 15: 5.37}),
        (conv_6, LARGE, layerwise, {"conv": 0.15}, {7: 26.61, 10: 15.29}),
        (resnet_20, LARGE, globally, DEEP, {4: 41.66, 6: 27.09, 7: 21.91, 10: 11.79}),
        (vgg_19, LARGE, globally, DEEP, {12: 6.90, 15: 3.54, 19: 1.47}),
    ],
)
def test_every_net_climbs_the_ladder_of_frankle_and_carbin_2019(
    model: Callable[..., nn.Module],
    shape: tuple[int, int, int],
    scope: Scope,
    rates: dict[str, float],
    printed: dict[int, float],
) -> None:
    net = model(shape, 10)
    kinds, mask, percent = prunable(net), full_mask(net), {}
    # VGG-19 has 20 million weights to sort: it stops only at the rungs that the paper prints
    ladder = iterative(list(printed) if model is vgg_19 else max(printed), **rates)
    random, (level,) = torch.Generator().manual_seed(0), ladder.children[0]
    while level:
        # bytes, so that thousands of weights tie for the threshold
        scores = {name: torch.randint(256, m.shape, generator=random, dtype=torch.uint8) for name, m in mask.items()}
        before = mask
        mask = scope(scores, mask, {name: ladder.density(level, kind) for name, kind in kinds.items()})
        assert not any((mask[name] & ~before[name]).any() for name in mask)
        percent[level] = round(100 * remaining(mask) / total(mask), 2)
        (level,) = ladder.children.get(level, (0,))
    assert {level: percent[level] for level in printed} == printed
    alone = {kind for kind in kinds.values() if ladder.rate[kind] == 0}
    assert all(m.all() == (kinds[name] in alone) for name, m in mask.items())


@both
def test_the_lowest_scores_go(scope: Scope) -> None:
    scores = {"a": torch.tensor([[0.3, -0.1], [0.2, 5.0]])}
    mask = scope(scores, {"a": torch.ones(2, 2, dtype=torch.bool)}, {"a": 0.5})
    assert mask["a"].tolist() == [[T, F], [F, T]]
    assert mask["a"].dtype == torch.bool


@both
def test_of_equal_scores_the_lower_index_goes_first(scope: Scope) -> None:
    assert scope({"a": torch.zeros(5)}, kept(5), {"a": 0.4})["a"].tolist() == [F, F, F, T, T]
    assert scope({"a": torch.tensor([0.0, -0.0, 0.0])}, kept(3), {"a": 0.34})["a"].tolist() == [F, F, T]


@both
def test_ties_cost_no_more_weights_than_the_rate_says_seven_of_ten_never_six(scope: Scope) -> None:
    assert int(scope({"a": torch.ones(10)}, kept(10), {"a": 0.7})["a"].sum()) == 7


@both
def test_what_is_pruned_stays_pruned_even_if_it_scores_best(scope: Scope) -> None:
    mask = {"a": torch.tensor([T, F, T, T])}
    assert scope({"a": torch.tensor([1.0, 9.0, 2.0, 3.0])}, mask, {"a": 0.5})["a"].tolist() == [F, F, T, T]


@both
def test_the_score_of_a_pruned_weight_may_even_be_no_number(scope: Scope) -> None:
    scores = {"a": torch.tensor([float("nan"), 1.0, 2.0])}
    assert scope(scores, {"a": torch.tensor([F, T, T])}, {"a": 1 / 3})["a"].tolist() == [F, F, T]


@both
def test_a_score_that_is_no_number_is_an_error_that_names_the_layers(scope: Scope) -> None:
    with pytest.raises(ValueError, match=r"a score of (a|all layers) is not a number"):
        scope({"a": torch.tensor([float("nan"), 1.0])}, kept(2), {"a": 0.5})


@both
def test_a_density_that_leaves_nothing_of_a_layer_is_an_error_that_names_it(scope: Scope) -> None:
    with pytest.raises(ValueError, match=r"none of the 4 weights of (a|all layers) would be left"):
        scope({"a": torch.rand(4)}, kept(4), {"a": 0.1})


@both
def test_asking_for_more_weights_than_are_left_is_an_error(scope: Scope) -> None:
    with pytest.raises(ValueError, match="has 1 weights left and can't keep 2"):
        scope({"a": torch.rand(4)}, {"a": torch.tensor([T, F, F, F])}, {"a": 0.5})


def test_layers_compete_globally_for_the_sum_of_what_they_keep_layerwise() -> None:
    scores = {"a": torch.tensor([1.0, 2.0, 3.0, 4.0]), "b": torch.tensor([5.0, 6.0])}
    mask = {"a": torch.ones(4, dtype=torch.bool), "b": torch.ones(2, dtype=torch.bool)}
    density = {"a": 0.5, "b": 0.5}
    assert {k: m.tolist() for k, m in globally(scores, mask, density).items()} == {"a": [F, F, F, T], "b": [T, T]}
    assert {k: m.tolist() for k, m in layerwise(scores, mask, density).items()} == {"a": [F, F, T, T], "b": [F, T]}


def test_a_layer_of_density_1_stays_out_of_the_global_competition() -> None:
    scores = {"a": torch.tensor([7.0, 8.0]), "b": torch.tensor([0.0, 0.0])}
    mask = {"a": torch.ones(2, dtype=torch.bool), "b": torch.ones(2, dtype=torch.bool)}
    assert {k: m.tolist() for k, m in globally(scores, mask, {"a": 0.5, "b": 1.0}).items()} == {
        "a": [F, T],
        "b": [T, T],
    }


def test_with_nothing_to_prune_the_global_mask_stays_as_it_is() -> None:
    assert globally({"a": torch.rand(3)}, kept(3), {"a": 1.0})["a"].all()


@both
def test_scores_and_mask_are_only_read(scope: Scope) -> None:
    scores, mask = {"a": torch.arange(4.0), "b": torch.arange(4.0)}, {**kept(4), "b": torch.ones(4, dtype=torch.bool)}
    new = scope(scores, mask, {"a": 0.5, "b": 1.0})
    for m in new.values():
        m.zero_()
    assert scores["a"].tolist() == [0.0, 1.0, 2.0, 3.0]
    assert mask["a"].all()
    assert mask["b"].all()


@both
@many
@given(
    st.lists(st.integers(-2, 2), min_size=1, max_size=40),
    st.lists(st.integers(-2, 2), min_size=1, max_size=40),
    st.lists(st.floats(0.05, 1), min_size=1, max_size=4),
)
def test_counts_are_exact_and_masks_shrink_however_many_scores_are_equal(
    scope: Scope, first: list[int], second: list[int], densities: list[float]
) -> None:
    scores = {"a": torch.tensor(first, dtype=torch.float32), "b": torch.tensor(second, dtype=torch.float32)}
    mask = {name: torch.ones_like(s, dtype=torch.bool) for name, s in scores.items()}
    for density in sorted(densities, reverse=True):
        wanted = {name: round(density * s.numel()) for name, s in scores.items()}
        if min(wanted.values()) < 1 or (density == 1 and scope is globally):
            continue
        new = scope(scores, mask, {"a": density, "b": density})
        assert all((mask[name] | ~new[name]).all() for name in mask)
        assert remaining(new) == sum(wanted.values())
        assert scope is globally or {name: int(m.sum()) for name, m in new.items()} == wanted
        mask = new


@many
@given(st.integers(0, 1000), st.integers(2, 60), st.data())
def test_layerwise_pruning_of_magnitudes_agrees_with_pytorch_round_after_round(
    seed: int, size: int, data: st.DataObject
) -> None:
    layer = nn.Linear(size, 1, bias=False)
    with torch.no_grad():
        layer.weight.copy_(distinct(seed, size)[None])
    scores = {"a": layer.weight.detach().abs().clone()}
    mask = {"a": torch.ones(1, size, dtype=torch.bool)}
    left = size
    for _ in range(3):
        amount = data.draw(st.integers(0, left - 1))
        left -= amount
        prune.l1_unstructured(layer, "weight", amount=amount)
        mask = layerwise(scores, mask, {"a": left / size})
        assert torch.equal(mask["a"], layer.get_buffer("weight_mask").bool())


@many
@given(st.integers(0, 1000), st.integers(2, 30), st.integers(2, 30), st.data())
def test_global_pruning_of_magnitudes_agrees_with_pytorch(seed: int, a: int, b: int, data: st.DataObject) -> None:
    layers = {"a": nn.Linear(a, 1, bias=False), "b": nn.Linear(b, 1, bias=False)}
    values = dict(zip(layers, distinct(seed, a + b).split([a, b]), strict=True))
    with torch.no_grad():
        for name, layer in layers.items():
            layer.weight.copy_(values[name][None])
    gone = {"a": data.draw(st.integers(1, a - 1)), "b": data.draw(st.integers(1, b - 1))}
    mask = globally(
        {name: v.abs() for name, v in values.items()},
        {name: torch.ones_like(v, dtype=torch.bool) for name, v in values.items()},
        {name: 1 - gone[name] / v.numel() for name, v in values.items()},
    )
    chosen = [(layer, "weight") for layer in layers.values()]
    prune.global_unstructured(chosen, pruning_method=prune.L1Unstructured, amount=sum(gone.values()))
    for name, layer in layers.items():
        assert torch.equal(mask[name], layer.get_buffer("weight_mask")[0].bool())
