"""Parameters that belong to a neuron or filter, and their removal from nets."""

import copy
import math

import pytest
import torch
import torch_pruning
from hypothesis import given
from hypothesis import strategies as st
from small import conv_net, copied, everything_net, example_of, few, same
from torch import Tensor, nn

from lth import neuron
from lth.layer import prunable
from lth.model import lenet_5, mlp, resnet_20, torchvision
from lth.neuron import Group
from lth.ticket import full_mask

SHAPE = (1, 4, 4)
SMALL = {
    "mlp": (lambda: mlp(SHAPE, 3, hidden=(5, 4)), SHAPE),
    "everything_net": (lambda: everything_net(SHAPE, 3), SHAPE),
    "lenet_5": (lambda: lenet_5((1, 16, 16), 10), (1, 16, 16)),
    "resnet_20": (lambda: resnet_20((3, 8, 8), 10), (3, 8, 8)),
}


def places(group: Group) -> dict[tuple[str, int], list[int]]:
    return {(part.name, part.axis): part.unit.tolist() for part in group.parts}


def random_units(groups: list[Group], seed: int, share: float = 0.5) -> list[Tensor]:
    """Random units: about this share of each group, never all."""
    random = torch.Generator().manual_seed(seed)
    gone = [torch.rand(group.size, generator=random) < share for group in groups]
    for units in gone:
        units[int(torch.randint(len(units), (1,), generator=random))] = False
    return gone


def test_a_neuron_has_a_row_of_weights_a_bias_and_a_column_of_the_next_layer() -> None:
    second, first = neuron.groups(mlp(SHAPE, 3, hidden=(5, 4)), example_of(SHAPE))
    assert places(first) == {
        ("1.weight", 0): [0, 1, 2, 3, 4],
        ("1.bias", 0): [0, 1, 2, 3, 4],
        ("3.weight", 1): [0, 1, 2, 3, 4],
    }
    assert places(second) == {
        ("3.weight", 0): [0, 1, 2, 3],
        ("3.bias", 0): [0, 1, 2, 3],
        ("5.weight", 1): [0, 1, 2, 3],
    }


def test_layers_may_be_called_as_operations_are() -> None:
    names = ("_stem", "first layer", "_Concat", "_ElementWiseOp_1", "out")
    parts = [nn.Linear(4, 3), nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 2)]
    net = nn.Sequential()
    for name, part in zip(names, parts, strict=True):
        net.add_module(name, part)
    found = neuron.groups(net, torch.zeros(2, 4))
    assert sorted(part.name for group in found for part in group.parts if part.name.endswith("weight")) == sorted(
        [f"{name}.weight" for name in names[:-1]] + [f"{name}.weight" for name in names[1:]]
    )


def test_a_filter_takes_its_batch_norm_and_behind_a_flattening_a_column_for_each_place_of_the_image() -> None:
    (group,) = neuron.groups(conv_net((1, 2, 2), 3), example_of((1, 2, 2)))
    one_each = [0, 1, 2]
    norm = {(f"1.{key}", 0): one_each for key in ("weight", "bias", "running_mean", "running_var")}
    assert places(group) == {
        ("0.weight", 0): one_each,
        ("0.bias", 0): one_each,
        **norm,
        ("4.weight", 1): [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2],
    }


def test_the_filters_of_a_residual_stage_are_one_group_and_those_inside_a_block_are_their_own() -> None:
    groups = neuron.groups(resnet_20((3, 8, 8), 10), example_of((3, 8, 8)))
    weights = prunable(resnet_20((3, 8, 8), 10))
    into = [sorted(part.name.removesuffix(".weight") for part in group.of(weights, 0)) for group in groups]
    assert sorted(into) == sorted(
        [
            ["block1.conv2", "block2.conv2", "block3.conv2", "conv"],
            ["block4.conv2", "block4.shortcut.0", "block5.conv2", "block6.conv2"],
            ["block7.conv2", "block7.shortcut.0", "block8.conv2", "block9.conv2"],
            *([f"block{n}.conv1"] for n in range(1, 10)),
        ]
    )


@pytest.mark.parametrize("name", SMALL)
def test_every_layer_but_the_output_is_in_one_group_as_units(name: str) -> None:
    make, shape = SMALL[name]
    net = make()
    weights = prunable(net)
    into = [part.name for group in neuron.groups(net, example_of(shape)) for part in group.of(weights, 0)]
    assert sorted(into) == sorted(list(weights)[:-1])


@pytest.mark.parametrize("training", [True, False])
def test_tracing_changes_nothing(training: bool) -> None:
    net = everything_net(SHAPE, 3).train(training)
    before = copied(net.state_dict())
    with torch.no_grad():
        neuron.groups(net, example_of(SHAPE))
    assert same(before, net.state_dict())
    assert net.training is training
    assert all(p.grad is None for p in net.parameters())


def test_sums_over_a_neuron_are_those_of_its_row_and_its_column() -> None:
    _, first = neuron.groups(mlp(SHAPE, 3, hidden=(2, 4)), example_of(SHAPE))
    tensors = {
        "1.weight": torch.arange(32.0).view(2, 16),
        "3.weight": torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0]]),
    }
    assert neuron.total(first, tensors, 0).tolist() == [sum(range(16)), sum(range(16, 32))]
    assert neuron.total(first, tensors, 1).tolist() == [16, 20]


def test_sums_over_a_filter_are_taken_over_all_the_columns_that_read_it() -> None:
    (group,) = neuron.groups(conv_net((1, 2, 2), 1), example_of((1, 2, 2)))
    assert neuron.total(group, {"4.weight": torch.arange(12.0)[None]}, 1).tolist() == [6, 22, 38]


def test_a_unit_with_one_remaining_weight_is_left() -> None:
    net = mlp((1, 1, 2), 2, hidden=(3,))
    mask = {"1.weight": torch.zeros(3, 2, dtype=torch.bool), "3.weight": torch.zeros(2, 3, dtype=torch.bool)}
    mask["1.weight"][0, 1] = mask["3.weight"][1, 2] = True
    (group,) = neuron.groups(net, example_of((1, 1, 2)))
    assert neuron.left(group, mask).tolist() == [True, False, True]


@pytest.mark.long
@few
@given(st.sampled_from(sorted(SMALL)), st.integers(0, 1000))
def test_what_torch_pruning_removes_is_what_is_selected_of_the_state_dict(name: str, seed: int) -> None:
    make, shape = SMALL[name]
    net = make()
    groups = neuron.groups(net, example_of(shape))
    gone = random_units(groups, seed)
    pruned, small = copy.deepcopy(net), neuron.smaller(net, net.state_dict(), groups, gone)
    graph = torch_pruning.DependencyGraph().build_dependency(pruned.eval(), example_of(shape), verbose=False)
    for group, units in zip(graph.get_all_groups(ignored_layers=[[*pruned.modules()][-1]]), gone, strict=True):
        if units.any():
            group.prune(units.nonzero().flatten().tolist())
    assert same(small.state_dict(), pruned.state_dict())
    assert repr(small) == repr(pruned)


def test_the_mask_without_a_neuron_has_no_row_and_no_column_of_it() -> None:
    net = mlp((1, 1, 2), 2, hidden=(3,))
    (group,) = neuron.groups(net, example_of((1, 1, 2)))
    mask = neuron.without(full_mask(net), group, torch.tensor([False, True, False]))
    assert mask["1.weight"].tolist() == [[True, True], [False, False], [True, True]]
    assert mask["3.weight"].tolist() == [[True, False, True], [True, False, True]]


@pytest.mark.long
@pytest.mark.parametrize("name", ["squeezenet1_1", "mobilenet_v2"])
def test_concatenated_layers_and_depthwise_convolutions_lose_units_too(name: str) -> None:
    shape = (3, 64, 64)
    net = torchvision(shape, 10, name=name)
    groups = neuron.groups(net, example_of(shape))
    gone = random_units(groups, 0)
    small = neuron.smaller(net, net.state_dict(), groups, gone)
    assert same(small.state_dict(), neuron.selected(net.state_dict(), groups, gone))
    assert small.eval()(torch.zeros(1, *shape)).shape == (1, 10)


class Pair(nn.Module):
    """Two outputs, of which the second is a multiple of the inputs."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, self.factor * x


def test_an_output_that_is_no_number_equals_nothing() -> None:
    nan, one, x = Pair(math.nan), Pair(1.0), torch.ones(2, 3)
    assert neuron.difference(one, copy.deepcopy(one), x) == ""
    assert neuron.difference(one, nan, x) == "in evaluation its outputs differ"
    masked = "in evaluation the outputs of the masked net are not finite"
    assert [neuron.difference(nan, other, x) for other in (one, nan)] == [masked] * 2


def test_a_layer_without_outputs_has_no_units() -> None:
    class Empty(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.none, self.head = nn.Linear(6, 4), nn.Linear(6, 0), nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(torch.cat([self.body(x), self.none(x)], 1))  # type: ignore[no-any-return]

    found = neuron.units(Empty(), torch.rand(4, 6))
    assert [[part.name for part in group.parts] for group in found.groups] == [
        ["body.weight", "body.bias", "head.weight"]
    ]


def test_units_beside_an_embedding_whose_gradients_are_sparse_are_found() -> None:
    class Words(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words = nn.Embedding(9, 5, sparse=True)
            self.body, self.head = nn.Linear(5, 4), nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.body(self.words(x).mean(1)).relu())  # type: ignore[no-any-return]

    found = neuron.units(Words(), torch.tensor([[1, 2, 3], [4, 5, 6]]))
    assert [group.size for group in found.groups] == [4]
    assert not found.whole
