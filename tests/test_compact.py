"""Smaller dense nets that compute what masked nets compute."""

import copy
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small import conv_net, dropout_net, everything_net, example_of, few
from torch import Tensor, nn

from lth import UserError, model, neuron, structure
from lth.compress.compact import compact, shrunk
from lth.compress.constants import constants
from lth.ticket import full_mask, masked

Net = Callable[..., nn.Module]
ONE, THREE = (1, 4, 4), (3, 32, 32)
NETS: dict[str, tuple[Net, tuple[int, ...]]] = {
    "lenet_300_100": (model.lenet_300_100, (1, 28, 28)),
    "mlp": (partial(model.mlp, hidden=(8, 6)), ONE),
    "conv_2": (partial(model.conv_2, dropout=0.5), (3, 8, 8)),
    "conv_4": (model.conv_4, (3, 8, 8)),
    "conv_6": (model.conv_6, (3, 8, 8)),
    "lenet_5": (model.lenet_5, (1, 28, 28)),
    "lecun_lenet_5": (model.lecun_lenet_5, (1, 28, 28)),
    "resnet_20": (model.resnet_20, (3, 8, 8)),
    "vgg_19": (model.vgg_19, THREE),
    "torchvision": (partial(model.torchvision, name="mobilenet_v3_small"), THREE),
}
NORMED = ("running_mean", "running_var")


def trained(make: Net, shape: Sequence[int], seed: int = 0, density: float = 1.0) -> nn.Module:
    """A net in float64 with biases, scales and batch statistics that are neither 0 nor 1, and weights as large as keep
    the signal alive when only this share of them remains.
    """
    torch.manual_seed(seed)
    net = make(shape, 10).double().eval()
    with torch.no_grad():
        for name, tensor in net.state_dict().items():
            if tensor.ndim > 1:
                tensor.normal_().mul_((2 / density / tensor[0].numel()) ** 0.5)
            elif tensor.ndim == 1:
                tensor.uniform_(0.5, 1.5) if name.endswith(("weight", "running_var")) else tensor.normal_(0, 0.3)
    return net


def random_mask(net: nn.Module, density: float, seed: int = 0) -> dict[str, Tensor]:
    random = torch.Generator().manual_seed(seed)
    return {name: torch.rand(m.shape, generator=random) < density for name, m in full_mask(net).items()}


def with_mask(net: nn.Module, mask: Mapping[str, Tensor]) -> nn.Module:
    other = copy.deepcopy(net)
    other.load_state_dict(masked(net.state_dict(), mask))
    return other


def inputs(net: nn.Module, shape: Sequence[int]) -> Tensor:
    """Inputs in the type of the net."""
    return example_of(shape, 3, next(net.parameters()).dtype)


def parameters(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def same_outputs(a: nn.Module, b: nn.Module, shape: Sequence[int], *, alive: bool = True) -> bool:
    """Far closer than 1e-6, since in float64 only the order of sums differs; and, where the net has to be alive, not
    because nothing depends on the images.
    """
    images = torch.rand(4, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        one, other = a.eval()(images), b.eval()(images)
    return bool(one.std(0).max() > 1e-4 or not alive) and torch.allclose(one, other, rtol=1e-9, atol=1e-9)


def test_every_architecture_is_tested() -> None:
    assert set(NETS) == set(model.__all__) - {"transformer"}  # its tokens are in test_exact.py


@pytest.mark.parametrize(
    ("name", "density"),
    [(n, 0.05) for n in NETS if n != "vgg_19"]
    + [pytest.param(n, d, marks=pytest.mark.long) for n in NETS for d in (0.5, 0.01) if n != "vgg_19"]
    + [pytest.param("vgg_19", 0.05, marks=pytest.mark.slow)],
)
def test_the_compact_net_of_a_random_ticket_computes_the_same(name: str, density: float) -> None:
    make, shape = NETS[name]
    net = trained(make, shape, density=density)
    mask = random_mask(net, max(density, 0.2) if name == "mlp" else density)
    small = compact(net, net.state_dict(), mask, inputs(net, shape))
    with torch.no_grad():
        images = torch.rand(2, *shape, dtype=torch.float64)
        torch.testing.assert_close(small(images), with_mask(net, mask)(images), rtol=1e-9, atol=1e-9)
    assert parameters(small) < parameters(net) or density == 0.5
    assert not small.training


@pytest.mark.parametrize("name", ["lenet_300_100", "conv_2", "lenet_5"])
def test_a_sparse_ticket_has_outputs_that_depend_on_the_image_and_are_equal_in_float32_too(name: str) -> None:
    make, shape = NETS[name]
    net = trained(make, shape, density=0.05)
    mask = random_mask(net, 0.05)
    small = compact(net, net.state_dict(), mask, inputs(net, shape))
    assert same_outputs(small, with_mask(net, mask), shape)
    assert parameters(small) < parameters(net)
    images = torch.rand(4, *shape)
    torch.testing.assert_close(small.float()(images), with_mask(net, mask).float()(images), rtol=1e-5, atol=1e-6)


@pytest.mark.long
@few
@given(st.integers(0, 1000), st.floats(0.1, 1), st.sampled_from([conv_net, dropout_net, everything_net]))
def test_the_compact_net_of_any_mask_computes_the_same(seed: int, density: float, make: Net) -> None:
    net = trained(make, ONE, seed, density)
    mask = random_mask(net, density, seed)
    images = torch.rand(3, *ONE, dtype=torch.float64)
    with torch.no_grad():
        small = compact(net, net.state_dict(), mask, inputs(net, ONE))(images)
        torch.testing.assert_close(small, with_mask(net, mask)(images), rtol=1e-9, atol=1e-9)


def small_mlp(weights: Mapping[str, Sequence[Sequence[float]]], biases: Sequence[Sequence[float]]) -> nn.Module:
    """2 pixels, 3 hidden units, 2 classes; every weight that is 0 is pruned."""
    net = model.mlp((1, 1, 2), 2, hidden=(3,))
    state = {name: torch.tensor(values) for name, values in weights.items()}
    net.load_state_dict(state | {"1.bias": torch.tensor(biases[0]), "3.bias": torch.tensor(biases[1])})
    return net


def test_a_constant_unit_is_folded_into_the_bias_and_a_unit_without_consumers_is_removed() -> None:
    net = small_mlp(
        {"1.weight": [[1, 2], [0, 0], [3, 4]], "3.weight": [[5, 6, 0], [7, 0, 0]]},
        [[0.5, 0.25, 9.0], [1.0, 2.0]],
    )
    mask = {name: net.get_parameter(name) != 0 for name in full_mask(net)}
    small = compact(net, net.state_dict(), mask, inputs(net, (1, 1, 2)))
    assert {name: p.tolist() for name, p in small.named_parameters()} == {
        "1.weight": [[1, 2]],
        "1.bias": [0.5],
        "3.weight": [[5], [7]],
        "3.bias": [1 + 6 * 0.25, 2],
    }


def test_a_negative_constant_before_a_relu_adds_nothing() -> None:
    net = small_mlp(
        {"1.weight": [[1, 2], [0, 0], [3, 4]], "3.weight": [[5, 6, 1], [7, 6, 1]]}, [[0.5, -0.25, 0.0], [1.0, 2.0]]
    )
    mask = {name: net.get_parameter(name) != 0 for name in full_mask(net)}
    small = compact(net, net.state_dict(), mask, inputs(net, (1, 1, 2)))
    assert small.get_parameter("3.bias").tolist() == [1, 2]
    assert small.get_parameter("3.weight").tolist() == [[5, 1], [7, 1]]


class Gated(nn.Module):
    """Two units, which one of twenty features switches."""

    def __init__(self) -> None:
        super().__init__()
        self.units, self.output = nn.Linear(20, 2), nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        gated: Tensor = self.output(torch.relu(self.units(x)) * x[:, :1])
        return gated


@pytest.mark.parametrize("seed", range(4))
def test_a_unit_without_inputs_that_a_rare_feature_switches_is_not_constant(seed: int) -> None:
    torch.manual_seed(seed)
    net = Gated().eval()
    net.units.bias.data.fill_(1.0)
    mask = full_mask(net)
    mask["units.weight"][0] = False
    off, on = torch.zeros(4, 20), torch.ones(1, 20)
    off[0, 1] = 1  # the first feature, which switches, is 0 in all examples
    small = compact(net, net.state_dict(), mask, off)
    torch.testing.assert_close(small(on), with_mask(net, mask)(on))


class Again(nn.Module):
    """A layer that is called with one constant and then with another."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Linear(2, 1)

    def forward(self, x: Tensor) -> Tensor:
        outputs: Tensor = self.one(torch.ones_like(x)) + self.one(torch.full_like(x, 2.0))
        return outputs


def test_an_input_that_is_another_constant_in_the_next_call_is_not_constant() -> None:
    net = Again()
    _, constant = constants(net, net.state_dict(), full_mask(net), torch.rand(4, 2))["one.weight"]
    assert constant.tolist() == [False, False]


def test_an_unread_pixel_is_not_read() -> None:
    net = small_mlp(
        {"1.weight": [[0, 2], [0, 1], [0, 4]], "3.weight": [[5, 6, 1], [7, 6, 1]]}, [[0.5, 0.5, 0.0], [1.0, 2.0]]
    )
    mask = {name: net.get_parameter(name) != 0 for name in full_mask(net)}
    small = compact(net, net.state_dict(), mask, inputs(net, (1, 1, 2)))
    assert small.get_buffer("1.0.index").tolist() == [1]
    assert small.get_parameter("1.1.weight").tolist() == [[2], [1], [4]]
    image = torch.tensor([[[[123.0, 0.5]]]])
    assert torch.equal(small(image), net.eval()(image))


def test_layers_that_share_their_weight_share_it_when_they_are_compact() -> None:
    torch.manual_seed(0)
    layers = nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3), nn.Linear(3, 2)
    net = nn.Sequential(nn.Flatten(), *layers).eval()
    net[5].weight = net[3].weight
    mask = full_mask(net)
    mask["3.weight"][:, 1] = False
    net[3].weight.data.mul_(mask["3.weight"])
    x = inputs(net, (1, 1, 2))
    small = compact(net, net.state_dict(), mask, x)
    assert small.get_parameter("3.weight") is small.get_parameter("5.weight")
    assert torch.allclose(small(x), net(x), atol=1e-6)


class Words(nn.Module):
    """An embedding whose weight the output layer has too."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.layer, self.out = nn.Embedding(11, 8), nn.Linear(8, 8), nn.Linear(8, 11, bias=False)
        self.out.weight = self.embedding.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.layer(self.embedding(x).mean(1)).relu())


def test_a_net_whose_output_layer_has_the_weight_of_its_embedding_can_be_compact() -> None:
    torch.manual_seed(0)
    net, words = Words().eval(), torch.randint(11, (5, 4))
    mask = {"layer.weight": torch.ones(8, 8, dtype=torch.bool)}
    mask["layer.weight"][2:] = False  # units with a constant output, which the output layer has no bias for
    net.layer.weight.data.mul_(mask["layer.weight"])
    small = compact(net, net.state_dict(), mask, words)
    assert torch.allclose(small(words), net(words), atol=1e-6)


def test_a_net_whose_masked_outputs_are_not_finite_is_refused_for_that() -> None:
    net = nn.Sequential(nn.Flatten(), nn.utils.parametrizations.weight_norm(nn.Linear(2, 3)), nn.Linear(3, 2)).eval()
    weights = {name: value.clone() for name, value in net.state_dict().items()}
    name = next(name for name, value in weights.items() if value.shape == (3, 2))
    mask = {name: torch.ones(3, 2, dtype=torch.bool), "2.weight": torch.ones(2, 3, dtype=torch.bool)}
    mask[name][0] = False  # of length 0, by which weight normalization divides
    with pytest.raises(UserError, match="the outputs of the masked net are not finite"):
        compact(net, weights, mask, torch.rand(4, 1, 1, 2))


def test_a_whole_chain_of_idle_units_is_removed() -> None:
    net = model.mlp((1, 1, 2), 2, hidden=(2, 2, 2)).eval()
    mask = full_mask(net)
    mask["1.weight"][0] = mask["3.weight"][0, 1] = mask["5.weight"][0, 1] = False  # unit 0 of each reads unit 0 only
    small = compact(net, net.state_dict(), mask, inputs(net, (1, 1, 2)))
    assert [layer.out_features for layer in small.modules() if isinstance(layer, nn.Linear)] == [1, 1, 1, 2]
    mask = full_mask(net)
    mask["7.weight"][:, 0] = mask["5.weight"][1, 0] = mask["3.weight"][1, 0] = False  # only units 0 read units 0
    small = compact(net, net.state_dict(), mask, inputs(net, (1, 1, 2)))
    assert [layer.out_features for layer in small.modules() if isinstance(layer, nn.Linear)] == [1, 1, 1, 2]


def test_a_net_without_any_weight_keeps_one_unit_per_layer_and_its_constant_outputs() -> None:
    net = trained(partial(model.mlp, hidden=(4, 3)), ONE)
    nothing = {name: torch.zeros_like(m) for name, m in full_mask(net).items()}
    small = compact(net, net.state_dict(), nothing, inputs(net, ONE))
    assert [tuple(p.shape) for p in small.parameters() if p.ndim == 2] == [(1, 1), (1, 1), (10, 1)]
    images = torch.rand(2, *ONE, dtype=torch.float64)
    assert torch.allclose(small(images), with_mask(net, nothing)(images))


@pytest.mark.parametrize(("padding", "bias", "filters"), [(1, -1.0, 1), (1, 1.0, 2), (0, 1.0, 1)])
def test_a_constant_before_a_padded_convolution_keeps_its_filter_unless_it_is_0(
    padding: int, bias: float, filters: int
) -> None:
    net = nn.Sequential(
        nn.Conv2d(1, 2, 1),
        nn.ReLU(),
        nn.Conv2d(2, 3, 3, padding=padding),
        nn.Flatten(),
        nn.Linear(3 * (4 + 2 * padding - 2) ** 2, 2),
    )
    with torch.no_grad():
        net[0].bias[1] = bias
    mask = full_mask(net)
    mask["0.weight"][1] = False
    small = compact(net, net.state_dict(), mask, inputs(net, ONE))
    assert small.get_parameter("0.weight").shape[0] == filters
    images = torch.rand(2, *ONE)
    torch.testing.assert_close(small(images), with_mask(net, mask).eval()(images))


# ---- structured


def pruned(net: nn.Module, shape: Sequence[int], share: float, seed: int = 0) -> dict[str, Tensor]:
    """Mask of neuron pruning by random scores."""
    mask = full_mask(net)
    random = torch.Generator().manual_seed(seed)
    scores = {name: torch.rand(m.shape, generator=random) for name, m in mask.items()}
    return structure.neuron(scores, mask, dict.fromkeys(mask, share), net, inputs(net, shape))


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if n == "vgg_19" else ()) for n in NETS if n != "torchvision"]
)
def test_the_masked_net_and_the_one_without_the_pruned_units_compute_the_same(name: str) -> None:
    make, shape = NETS[name]
    net = trained(make, shape, density=0.25)
    mask = pruned(net, shape, 0.5)
    small = shrunk(net, net.state_dict(), mask, inputs(net, shape))
    assert same_outputs(small, with_mask(net, mask), shape)
    assert all(p.all() for p in small.parameters() if p.ndim > 1)  # dense


@pytest.mark.long
@few
@given(st.integers(0, 1000), st.floats(0.3, 1), st.sampled_from([conv_net, dropout_net, everything_net]))
def test_any_share_of_the_units_can_be_removed(seed: int, share: float, make: Net) -> None:
    net = trained(make, ONE, seed)
    mask = pruned(net, ONE, share, seed)
    small = shrunk(net, net.state_dict(), mask, inputs(net, ONE))
    assert same_outputs(small, with_mask(net, mask), ONE, alive=False)  # two ReLU units may both be dead
    assert same_outputs(compact(net, net.state_dict(), mask, inputs(net, ONE)), small, ONE, alive=False)


@pytest.mark.parametrize(
    ("name", "share", "expected"),
    [
        # 784 a + a + a b + b + 10 b + 10 with a = 150, b = 50
        ("lenet_300_100", 0.5, 784 * 150 + 150 + 150 * 50 + 50 + 50 * 10 + 10),
        # filters 10 and 25 of 5 x 5, 250 units, on 4 x 4 places
        ("lenet_5", 0.5, 25 * 10 + 10 + 10 * 25 * 25 + 25 + 25 * 16 * 250 + 250 + 250 * 10 + 10),
    ],
)
def test_the_number_of_remaining_parameters_equals_the_one_computed_by_hand(
    name: str, share: float, expected: int
) -> None:
    make, shape = NETS[name]
    net = make(shape, 10)
    assert parameters(shrunk(net, net.state_dict(), pruned(net, shape, share), inputs(net, shape))) == expected


def test_rewound_the_surviving_neurons_have_their_rows_and_columns_of_theta_0() -> None:
    make, shape = NETS["lenet_300_100"]
    net, theta_0 = make(shape, 10), make(shape, 10).state_dict()
    mask = pruned(net, shape, 0.3)
    first = mask["1.weight"].any(1)
    second = mask["3.weight"].any(1)
    small = shrunk(net, theta_0, mask, inputs(net, shape))
    expected = {
        "1.weight": theta_0["1.weight"][first],
        "1.bias": theta_0["1.bias"][first],
        "3.weight": theta_0["3.weight"][second][:, first],
        "3.bias": theta_0["3.bias"][second],
        "5.weight": theta_0["5.weight"][:, second],
        "5.bias": theta_0["5.bias"],
    }
    assert int(first.sum()) == 90
    assert all(torch.equal(small.get_parameter(name), value) for name, value in expected.items())
    assert all(p.requires_grad for p in small.parameters())


def test_the_smaller_net_trains_as_the_masked_one_does() -> None:
    net = trained(everything_net, ONE)
    net[7] = nn.Identity()  # dropout draws one number per unit, so other numbers for fewer units
    mask = pruned(net, ONE, 0.5)
    groups = neuron.groups(net, inputs(net, ONE))
    big, small = with_mask(net, mask), shrunk(net, net.state_dict(), mask, inputs(net, ONE))
    images, labels = torch.rand(20, *ONE, dtype=torch.float64), torch.arange(20) % 10
    for each in (big, small):
        optimizer = torch.optim.SGD(each.train().parameters(), lr=0.1, momentum=0.9)
        for _ in range(3):
            optimizer.zero_grad()
            nn.functional.cross_entropy(each(images), labels).backward()
            optimizer.step()
            each.load_state_dict(masked(big.state_dict(), mask) if each is big else small.state_dict())
    removed = [~neuron.left(group, mask) for group in groups]
    for name, value in neuron.selected(big.state_dict(), groups, removed).items():
        torch.testing.assert_close(small.state_dict()[name], value)


def test_the_given_net_and_weights_are_only_read() -> None:
    net = everything_net(ONE, 3)
    before, mask = copy.deepcopy(net.state_dict()), random_mask(net, 0.3)
    kept = copy.deepcopy(mask)
    for make in (compact, shrunk):
        for parameter in make(net, net.state_dict(), mask, inputs(net, ONE)).parameters():
            parameter.data.zero_()
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert all(torch.equal(kept[name], m) for name, m in mask.items())
    assert net.training
