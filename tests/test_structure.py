"""Structures: (scores, mask, shares) -> mask with exact counts of weights, units and n of m."""

from collections.abc import Callable, Mapping

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small import example_of, kinds_of, many
from torch import Tensor, nn
from torch.nn.utils import prune
from torch.sparse._semi_structured_conversions import (
    sparse_semi_structured_from_dense_cutlass,
    sparse_semi_structured_to_dense_cutlass,
)

from lth import UserError, distribution, structure
from lth.model import conv_2, conv_4, conv_6, lenet_300_100, mlp, resnet_20, vgg_19
from lth.schedule import iterative
from lth.ticket import full_mask, remaining, total

Prune = Callable[..., dict[str, Tensor]]
Tensors = Mapping[str, Tensor]


def layerwise(scores: Tensors, mask: Tensors, density: Mapping[str, float]) -> dict[str, Tensor]:
    """Prune single weights layer by layer; the net is not needed."""
    return structure.weight(scores, mask, distribution.by_kind(scores, mask, density), nn.Identity(), torch.empty(0))


def globally(scores: Tensors, mask: Tensors, density: Mapping[str, float]) -> dict[str, Tensor]:
    return structure.weight(scores, mask, distribution.globally(scores, mask, density), nn.Identity(), torch.empty(0))


both = pytest.mark.parametrize("prune_by", [layerwise, globally])
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
    ("model", "shape", "prune_by", "rates", "printed"),
    [
        (lenet_300_100, SMALL, layerwise, {}, {3: 51.28, 7: 21.07, 9: 13.52, 15: 3.58, 16: 2.87, 18: 1.85}),
        pytest.param(conv_2, LARGE, layerwise, {}, {11: 8.81, 14: 4.57}, marks=pytest.mark.long),
        (conv_4, LARGE, layerwise, {}, {11: 11.06, 12: 9.18, 15: 5.37}),
        (conv_6, LARGE, layerwise, {"conv": 0.15}, {7: 26.61, 10: 15.29}),
        (resnet_20, LARGE, globally, DEEP, {4: 41.66, 6: 27.09, 7: 21.91, 10: 11.79}),
        pytest.param(vgg_19, LARGE, globally, DEEP, {12: 6.90, 15: 3.54, 19: 1.47}, marks=pytest.mark.long),
    ],
)
def test_every_net_climbs_the_ladder_of_frankle_and_carbin_2019(
    model: Callable[..., nn.Module],
    shape: tuple[int, int, int],
    prune_by: Prune,
    rates: dict[str, float],
    printed: dict[int, float],
) -> None:
    net = model(shape, 10)
    kinds, mask, percent = kinds_of(net, shape), full_mask(net), {}
    # VGG-19 has 20 million weights to sort: it stops only at the rungs that the paper prints
    ladder = iterative(list(printed) if model is vgg_19 else max(printed), **rates)
    random, (level,) = torch.Generator().manual_seed(0), ladder.children[0]
    while level:
        # bytes, so that thousands of weights tie for the threshold
        scores = {name: torch.randint(256, m.shape, generator=random, dtype=torch.uint8) for name, m in mask.items()}
        before = mask
        mask = prune_by(scores, mask, {name: ladder.density(level, kind) for name, kind in kinds.items()})
        assert not any((mask[name] & ~before[name]).any() for name in mask)
        percent[level] = round(100 * remaining(mask) / total(mask), 2)
        (level,) = ladder.children.get(level, (0,))
    assert {level: percent[level] for level in printed} == printed
    alone = {kind for kind in kinds.values() if ladder.density(1, kind) == 1}
    assert all(m.all() == (kinds[name] in alone) for name, m in mask.items())


@both
def test_the_lowest_scores_are_pruned(prune_by: Prune) -> None:
    scores = {"a": torch.tensor([[0.3, -0.1], [0.2, 5.0]])}
    mask = prune_by(scores, {"a": torch.ones(2, 2, dtype=torch.bool)}, {"a": 0.5})
    assert mask["a"].tolist() == [[T, F], [F, T]]
    assert mask["a"].dtype == torch.bool


@both
def test_of_equal_scores_the_lower_index_is_pruned_first(prune_by: Prune) -> None:
    assert prune_by({"a": torch.zeros(5)}, kept(5), {"a": 0.4})["a"].tolist() == [F, F, F, T, T]
    assert prune_by({"a": torch.tensor([0.0, -0.0, 0.0])}, kept(3), {"a": 0.34})["a"].tolist() == [F, F, T]


@both
def test_ties_cost_no_more_weights_than_the_rate_says_seven_of_ten_never_six(prune_by: Prune) -> None:
    assert int(prune_by({"a": torch.ones(10)}, kept(10), {"a": 0.7})["a"].sum()) == 7


@both
def test_what_is_pruned_stays_pruned_even_if_it_scores_best(prune_by: Prune) -> None:
    mask = {"a": torch.tensor([T, F, T, T])}
    assert prune_by({"a": torch.tensor([1.0, 9.0, 2.0, 3.0])}, mask, {"a": 0.5})["a"].tolist() == [F, F, T, T]


@both
def test_the_score_of_a_pruned_weight_may_be_nan(prune_by: Prune) -> None:
    scores = {"a": torch.tensor([float("nan"), 1.0, 2.0])}
    assert prune_by(scores, {"a": torch.tensor([F, T, T])}, {"a": 1 / 3})["a"].tolist() == [F, F, T]


@both
def test_a_nan_score_is_an_error_that_names_the_layers(prune_by: Prune) -> None:
    with pytest.raises(UserError, match=r"a score of (a|all layers) is not a number"):
        prune_by({"a": torch.tensor([float("nan"), 1.0])}, kept(2), {"a": 0.5})


@both
def test_a_density_that_leaves_nothing_of_a_layer_is_an_error_that_names_it(prune_by: Prune) -> None:
    with pytest.raises(ValueError, match=r"none of the 4 weights of (a|all layers) would be left"):
        prune_by({"a": torch.rand(4)}, kept(4), {"a": 0.1})


@both
def test_asking_for_more_weights_than_are_left_is_an_error(prune_by: Prune) -> None:
    with pytest.raises(ValueError, match=r"2 weights of (a|all layers) should remain and only 1 are left"):
        prune_by({"a": torch.rand(4)}, {"a": torch.tensor([T, F, F, F])}, {"a": 0.5})


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
def test_scores_and_mask_are_only_read(prune_by: Prune) -> None:
    scores, mask = {"a": torch.arange(4.0), "b": torch.arange(4.0)}, {**kept(4), "b": torch.ones(4, dtype=torch.bool)}
    new = prune_by(scores, mask, {"a": 0.5, "b": 1.0})
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
    prune_by: Prune, first: list[int], second: list[int], densities: list[float]
) -> None:
    scores = {"a": torch.tensor(first, dtype=torch.float32), "b": torch.tensor(second, dtype=torch.float32)}
    mask = {name: torch.ones_like(s, dtype=torch.bool) for name, s in scores.items()}
    for density in sorted(densities, reverse=True):
        wanted = {name: round(density * s.numel()) for name, s in scores.items()}
        if min(wanted.values()) < 1 or (density == 1 and prune_by is globally):
            continue
        new = prune_by(scores, mask, {"a": density, "b": density})
        assert all((mask[name] | ~new[name]).all() for name in mask)
        assert remaining(new) == sum(wanted.values())
        assert prune_by is globally or {name: int(m.sum()) for name, m in new.items()} == wanted
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


# ---- whole units

# 2 inputs, hidden layers of 3 and 2 units, 2 classes
SMALL_NET, SMALL_EXAMPLE = mlp((1, 1, 2), 2, hidden=(3, 2)), example_of((1, 1, 2))
SMALL_SCORES = {
    "1.weight": torch.tensor([[1.0, 2.0], [9.0, 9.0], [2.0, 2.0]]),  # means 1.5, 9, 2
    "3.weight": torch.tensor([[5.0, 5.0, 5.0], [6.0, 6.0, 0.0]]),  # means 5, 4
    "5.weight": torch.tensor([[0.0, 1.0], [0.0, 1.0]]),
}


def units(mask: Tensors, share: float, scores: Tensors = SMALL_SCORES) -> dict[str, list[list[bool]]]:
    density = dict.fromkeys(mask, share)
    return {n: m.tolist() for n, m in structure.neuron(scores, mask, density, SMALL_NET, SMALL_EXAMPLE).items()}


def test_neurons_go_with_all_weights_into_and_out_of_them() -> None:
    # round(0.5 * 3) = 2 and round(0.5 * 2) = 1 stay
    assert units(full_mask(SMALL_NET), 0.5) == {
        "1.weight": [[F, F], [T, T], [T, T]],
        "3.weight": [[F, T, T], [F, F, F]],
        "5.weight": [[T, F], [T, F]],
    }


def test_the_score_of_a_neuron_is_the_mean_of_the_weights_into_it_that_remain() -> None:
    mask = full_mask(SMALL_NET) | {"3.weight": torch.tensor([[T, T, T], [T, T, F]])}  # means 5 and now 6
    nan = float("nan")
    scores = {**SMALL_SCORES, "3.weight": torch.tensor([[5.0, 5.0, 5.0], [6.0, 6.0, nan]])}
    kept = units(mask, 0.5, scores)
    assert kept["3.weight"] == [[F, F, F], [F, T, F]]
    assert kept["5.weight"] == [[F, T], [F, T]]


def test_of_neurons_with_equal_scores_the_lower_index_goes_first() -> None:
    even = {name: torch.ones_like(s) for name, s in SMALL_SCORES.items()}
    assert units(full_mask(SMALL_NET), 0.34, even)["1.weight"] == [[F, F], [F, F], [T, T]]


def test_a_pruned_neuron_stays_pruned_even_if_it_scores_best() -> None:
    once = structure.neuron(
        SMALL_SCORES, full_mask(SMALL_NET), dict.fromkeys(SMALL_SCORES, 0.67), SMALL_NET, SMALL_EXAMPLE
    )
    assert once["1.weight"].tolist() == [[F, F], [T, T], [T, T]]
    turned = {name: -s for name, s in SMALL_SCORES.items()}
    assert units(once, 0.34, turned)["1.weight"] == [[F, F], [F, F], [T, T]]
    with pytest.raises(ValueError, match=r"2 units of 3\.weight should remain and only 1 are left"):
        units(once, 0.9)


def test_a_density_that_leaves_no_neuron_is_an_error_that_names_the_layer() -> None:
    with pytest.raises(ValueError, match=r"none of the 2 units of 3\.weight would be left"):
        units(full_mask(SMALL_NET), 0.2)


def test_layers_of_density_1_keep_their_neurons_and_lose_the_weights_from_those_that_go() -> None:
    density = {"1.weight": 0.34, "3.weight": 1.0, "5.weight": 1.0}
    kept = structure.neuron(SMALL_SCORES, full_mask(SMALL_NET), density, SMALL_NET, SMALL_EXAMPLE)
    assert {name: m.tolist() for name, m in kept.items()} == {
        "1.weight": [[F, F], [T, T], [F, F]],
        "3.weight": [[F, T, F], [F, T, F]],
        "5.weight": [[T, T], [T, T]],
    }


class Residual(nn.Module):
    """A stream of four units, to which the second layer adds."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.head = nn.Linear(2, 4), nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        stream = self.one(x).relu()
        outputs: Tensor = self.head(stream + self.two(stream).relu())
        return outputs


@pytest.mark.parametrize(("one", "two"), [(0.5, 0.75), (0.75, 0.5)])
def test_coupled_layers_of_different_shares_keep_as_many_neurons_as_the_greatest(one: float, two: float) -> None:
    net = Residual()
    mask = full_mask(net)
    scores = {name: torch.arange(float(len(m)))[:, None].expand(m.shape) for name, m in mask.items()}
    shares = {"one.weight": one, "two.weight": two, "head.weight": 1.0}
    kept = structure.neuron(scores, mask, shares, net, example_of((2,)))
    assert filters(kept, "one.weight") == filters(kept, "two.weight") == [F, T, T, T]
    assert kept["head.weight"].tolist() == [[F, T, T, T], [F, T, T, T]]


def test_removing_half_of_the_neurons_leaves_about_a_quarter_of_the_weights_between_them() -> None:
    net = lenet_300_100(SMALL, 10)
    mask = full_mask(net)
    scores = {name: torch.rand(m.shape, generator=torch.Generator().manual_seed(0)) for name, m in mask.items()}
    kept = structure.neuron(scores, mask, dict.fromkeys(mask, 0.5), net, example_of(SMALL))
    assert {name: int(m.sum()) for name, m in kept.items()} == {
        "1.weight": 784 * 150,
        "3.weight": 150 * 50,
        "5.weight": 50 * 10,
    }


def filters(mask: Tensors, name: str) -> list[bool]:
    """Filters of a layer with at least one weight, as bools."""
    return mask[name].flatten(1).any(1).tolist()


@pytest.mark.long
def test_the_filters_of_a_residual_stage_vanish_together() -> None:
    net = resnet_20(LARGE, 10)
    random = torch.Generator().manual_seed(0)
    scores = {name: torch.rand(m.shape, generator=random) for name, m in full_mask(net).items()}
    kept = structure.neuron(scores, full_mask(net), dict.fromkeys(scores, 0.25), net, example_of(LARGE))
    stream = filters(kept, "block4.conv2.weight")
    assert sum(stream) == 8
    assert all(filters(kept, f"block{n}.conv2.weight") == stream for n in (5, 6))
    assert filters(kept, "block4.shortcut.0.weight") == stream
    for reader in ("block5.conv1", "block6.conv1", "block7.conv1", "block7.shortcut.0"):
        assert kept[f"{reader}.weight"].transpose(0, 1).flatten(1).any(1).tolist() == stream
    inner = [filters(kept, f"block{n}.conv1.weight") for n in (4, 5, 6)]
    assert [sum(f) for f in inner] == [8, 8, 8]
    assert len({tuple(f) for f in inner}) == 3  # each block chooses its own


@pytest.mark.long
def test_with_shortcuts_of_density_1_the_later_stages_keep_their_width_and_blocks_lose_inner_filters() -> None:
    net = resnet_20(LARGE, 10)
    density = {name: 1.0 if kind == "shortcut" else 0.5 for name, kind in kinds_of(net, LARGE).items()}
    scores = {name: torch.ones(m.shape) for name, m in full_mask(net).items()}
    kept = structure.neuron(scores, full_mask(net), density, net, example_of(LARGE))
    counts = {name: sum(filters(kept, f"{name}.weight")) for name in ("conv", "block4.conv2", "block4.conv1", "output")}
    assert counts == {"conv": 8, "block4.conv2": 32, "block4.conv1": 16, "output": 10}


# ---- n of m


def runs(scores: list[float], n: int = 2, m: int = 4, mask: list[bool] | None = None) -> list[bool]:
    given = {"a": torch.tensor([mask or [T] * len(scores)])}
    found = structure.n_of_m({"a": torch.tensor([scores])}, given, {"a": 0.5}, nn.Identity(), torch.empty(0), n=n, m=m)
    return list(found["a"][0].tolist())


def test_of_each_four_inputs_the_two_with_the_highest_scores_stay() -> None:
    assert runs([1, 4, 3, 2, 5, 6, 7, 8]) == [F, T, T, F, F, F, T, T]
    assert runs([1, 1, 1, 1]) == [F, F, T, T]
    assert runs([3, 1, 2], n=1, m=3) == [T, F, F]


def test_what_is_pruned_stays_pruned_and_a_run_with_fewer_weights_keeps_them_all() -> None:
    assert runs([9, 1, 2, 3], mask=[F, T, T, T]) == [F, F, T, T]
    assert runs([9, 9, 9, 1], mask=[F, F, F, T]) == [F, F, F, T]
    assert runs([float("nan"), -float("inf"), 1, 2], n=3, mask=[F, T, T, T]) == [F, T, T, T]


def test_a_last_shorter_run_counts_as_filled_up_with_zeros() -> None:
    assert runs([1, 2, 3, 4, 7]) == [F, F, T, T, T]
    assert runs([1, 2, 3, 4, 7, 5, 6]) == [F, F, T, T, T, F, T]
    assert runs([3, 1, 2]) == [T, F, T]


def test_the_runs_of_a_convolution_go_along_its_input_channels_at_each_place_of_the_filter() -> None:
    scores = torch.zeros(1, 4, 1, 2)
    scores[0, :, 0, 0] = torch.tensor([4.0, 3.0, 2.0, 1.0])
    scores[0, :, 0, 1] = torch.tensor([1.0, 4.0, 2.0, 3.0])
    kept = structure.n_of_m(
        {"a": scores}, {"a": torch.ones(1, 4, 1, 2, dtype=torch.bool)}, {"a": 0.5}, nn.Identity(), torch.empty(0)
    )
    assert kept["a"][0, :, 0, 0].tolist() == [T, T, F, F]
    assert kept["a"][0, :, 0, 1].tolist() == [F, T, F, T]


def test_the_runs_of_a_transposed_convolution_go_along_its_input_channels() -> None:
    """Inputs come first there: of the four of each output two stay."""
    scores = torch.tensor([[4.0, 1.0], [3.0, 4.0], [2.0, 2.0], [1.0, 3.0]]).view(4, 2, 1, 1)
    kept = structure.n_of_m(
        {"weight": scores}, {"weight": torch.ones(4, 2, 1, 1, dtype=torch.bool)}, {"weight": 0.5},
        nn.ConvTranspose2d(4, 2, 1), torch.empty(0),
    )["weight"]  # fmt: skip
    assert kept[:, 0, 0, 0].tolist() == [T, T, F, F]
    assert kept[:, 1, 0, 0].tolist() == [F, T, F, T]


def test_a_layer_of_density_1_has_no_runs() -> None:
    given = {"a": torch.ones(2, 4, dtype=torch.bool)}
    kept = structure.n_of_m({"a": torch.rand(2, 4)}, given, {"a": 1.0}, nn.Identity(), torch.empty(0))
    assert kept["a"].all()
    assert kept["a"] is not given["a"]


def test_an_invalid_pattern_and_a_nan_score_are_errors() -> None:
    with pytest.raises(ValueError, match=r"structure\.n=5, structure\.m=4"):
        runs([1, 2, 3, 4], n=5)
    with pytest.raises(UserError, match="a score of a is not a number"):
        runs([float("nan"), 2, 3, 4])


@many
@given(st.integers(0, 1000), st.integers(1, 3), st.integers(1, 30))
def test_two_of_four_is_the_mask_of_the_magnitudes_that_remain_largest_in_every_run(
    seed: int, rows: int, size: int
) -> None:
    scores = distinct(seed, rows * size).abs().view(rows, size)
    kept = structure.n_of_m(
        {"a": scores}, {"a": torch.ones(rows, size, dtype=torch.bool)}, {"a": 0.5}, nn.Identity(), torch.empty(0)
    )["a"]
    for row, chosen in zip(scores.tolist(), kept.tolist(), strict=True):
        for start in range(0, size, 4):
            run = row[start : start + 4]
            assert [v for v, c in zip(run, chosen[start : start + 4], strict=True) if c] == [
                v for v in run if v in sorted(run)[-2:]
            ]


def test_two_of_four_goes_into_the_compressed_format_of_sparse_tensor_cores_and_back() -> None:
    weights = distinct(0, 64 * 64).view(64, 64).half()
    mask = {"a": torch.ones(64, 64, dtype=torch.bool)}
    kept = structure.n_of_m({"a": weights.abs()}, mask, {"a": 0.5}, nn.Identity(), torch.empty(0))["a"]
    values, places = sparse_semi_structured_from_dense_cutlass(weights * kept)
    assert values.shape == (64, 32)
    assert torch.equal(sparse_semi_structured_to_dense_cutlass(values, places), weights * kept)
    values, places = sparse_semi_structured_from_dense_cutlass(weights)
    assert not torch.equal(sparse_semi_structured_to_dense_cutlass(values, places), weights)


def test_a_row_keeps_its_own_highest_by_hand() -> None:
    net = nn.Linear(4, 2)
    scores = {"weight": torch.tensor([[1.0, 2.0, 3.0, 4.0], [50.0, 10.0, 50.0, 50.0]])}
    mask = {"weight": torch.ones(2, 4, dtype=torch.bool)}
    half = structure.row(scores, mask, {"weight": 0.5}, net, torch.empty(0))
    assert half["weight"].tolist() == [[F, F, T, T], [F, F, T, T]]  # of equal scores the lower index goes
    quarter = structure.row(scores, half, {"weight": 0.25}, net, torch.empty(0))
    assert quarter["weight"].tolist() == [[F, F, F, T], [F, F, F, T]]
    whole = structure.row(scores, half, {"weight": 1}, net, torch.empty(0))
    assert whole["weight"].tolist() == half["weight"].tolist()
    whole["weight"].zero_()
    assert half["weight"].any()  # a copy
    with pytest.raises(ValueError, match="none of the 4 weights of a unit of weight would be left"):
        structure.row(scores, mask, {"weight": 0.1}, net, torch.empty(0))
    with pytest.raises(ValueError, match="pruned weights stay pruned"):
        structure.row(scores, half, {"weight": 0.75}, net, torch.empty(0))


@pytest.mark.parametrize(
    ("layer", "outputs", "size"),
    [
        (nn.Conv2d(4, 6, 3, groups=2), lambda w: w, 18),
        (nn.ConvTranspose2d(4, 6, 3), lambda w: w.transpose(0, 1), 36),
        (nn.ConvTranspose1d(4, 6, 5, groups=2), lambda w: torch.cat([w[:2], w[2:]], 1).transpose(0, 1), 10),
    ],
)
def test_a_row_is_what_one_output_channel_reads(layer: nn.Module, outputs: Callable[..., Tensor], size: int) -> None:
    weight = layer.get_parameter("weight")
    scores = {"weight": distinct(3, weight.numel()).view_as(weight)}
    full = {"weight": torch.ones_like(weight, dtype=torch.bool)}
    new = structure.row(scores, full, {"weight": 0.3}, layer, torch.empty(0))["weight"]
    n = round(0.3 * size)
    for kept_row, row in zip(outputs(new), outputs(scores["weight"]), strict=True):
        assert row.numel() == size
        assert sorted(row[kept_row].tolist()) == sorted(row.flatten().tolist())[-n:]


def test_a_remaining_weight_of_the_lowest_score_stays_before_a_pruned_one() -> None:
    mask, scores = {"weight": torch.tensor([[True, False]])}, {"weight": torch.tensor([[-torch.inf, 5.0]])}
    new = structure.n_of_m(scores, mask, {"weight": 0.5}, nn.Linear(2, 1), torch.zeros(1, 2), n=1, m=2)
    assert new["weight"].tolist() == [[True, False]]
