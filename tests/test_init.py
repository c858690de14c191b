"""Initializations: (net, seed) -> theta_0."""

import hashlib
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.error import URLError

import pytest
import torch
from small import DATA, conv_net, copied, dropout_net, same
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize

from lth import UserError
from lth.cli.config.compose import validated
from lth.init import gaussian, glorot_normal, glorot_uniform, kaiming_normal, pretrained, signed_constant
from lth.model import lenet_300_100, torchvision
from lth.store.digest import describe
from lth.weights import load

Init = Callable[[nn.Module, int], dict[str, Tensor]]
tenth = partial(gaussian, std=0.1)
untruncated = pytest.mark.parametrize("init", [glorot_normal, kaiming_normal, tenth])
each = pytest.mark.parametrize("init", [glorot_normal, glorot_uniform, kaiming_normal, tenth])


@pytest.mark.parametrize(
    ("init", "variance"),
    [(glorot_normal, 2 / (784 + 300)), (glorot_uniform, 2 / (784 + 300)), (kaiming_normal, 2 / 784), (tenth, 0.01)],
)
def test_the_weights_of_the_first_layer_of_lenet_have_the_deviation_of_the_paper(init: Init, variance: float) -> None:
    first = init(lenet_300_100((1, 28, 28), 10), 1)["1.weight"]
    # 235,200 draws: the standard error of a deviation is 0.15%, that of the mean 0.2% of a deviation
    assert first.std().item() == pytest.approx(math.sqrt(variance), rel=0.01)
    assert abs(first.mean().item()) < 0.01 * math.sqrt(variance)


def test_a_uniform_weight_lies_within_the_bound_of_the_paper() -> None:
    first = glorot_uniform(lenet_300_100((1, 28, 28), 10), 1)["1.weight"]
    bound = math.sqrt(6 / (784 + 300))
    assert 0.999 * bound < first.abs().max().item() <= bound
    assert (first.abs() < bound / 2).float().mean().item() == pytest.approx(0.5, abs=0.005)


@untruncated
def test_the_gaussian_is_not_truncated_so_that_4_55_percent_lie_beyond_two_deviations(init: Init) -> None:
    first = init(lenet_300_100((1, 28, 28), 10), 1)["1.weight"]
    assert ((first.abs() > 2 * first.std()).float().mean().item()) == pytest.approx(0.0455, abs=0.003)


def test_convolutions_count_the_kernel_in_their_fans() -> None:
    wide = nn.Sequential(nn.Conv2d(32, 64, 3))
    assert glorot_normal(wide, 1)["0.weight"].std().item() == pytest.approx(math.sqrt(2 / (9 * 32 + 9 * 64)), rel=0.03)
    assert kaiming_normal(wide, 1)["0.weight"].std().item() == pytest.approx(math.sqrt(2 / (9 * 32)), rel=0.03)


@pytest.mark.parametrize("groups", [1, 2])
def test_a_transposed_convolution_counts_the_inputs_and_outputs_that_it_has(groups: int) -> None:
    wide = nn.Sequential(nn.ConvTranspose2d(8, 256, 3, groups=groups))  # of each output 8 / groups inputs
    inputs, outputs = 9 * 8 // groups, 9 * 256
    weights = [init(wide, 1)["0.weight"] for init in (glorot_normal, kaiming_normal, signed_constant)]
    assert [tuple(w.shape) for w in weights] == [(8, 256 // groups, 3, 3)] * 3
    expected = [math.sqrt(2 / (inputs + outputs)), math.sqrt(2 / inputs), math.sqrt(2 / inputs)]
    assert [w.std().item() for w in weights] == pytest.approx(expected, rel=0.03)


def test_a_gaussian_has_its_deviation_in_every_layer() -> None:
    weights = gaussian(lenet_300_100((1, 28, 28), 10), 1, std=0.2)
    # 1,000 draws in the last layer: the standard error of a deviation is 2.2%
    assert [weights[f"{at}.weight"].std().item() for at in (1, 3, 5)] == pytest.approx(3 * [0.2], rel=0.09)


@pytest.mark.parametrize("std", ["0", "-0.1", "1e9", ".inf", ".nan"])
def test_a_deviation_that_no_weights_have_is_refused_before_anything_is_trained(std: str) -> None:
    with pytest.raises(UserError, match=r"init.std=\S+: must be "):
        validated(["init=gaussian", f"init.std={std}"])


@each
def test_biases_start_at_0_and_batch_norm_as_pytorch_has_it(init: Init) -> None:
    weights = init(conv_net(DATA.shape, DATA.classes), 1)
    zero = ["0.bias", "1.bias", "1.running_mean", "4.bias", "1.num_batches_tracked"]
    assert all(not weights[name].any() for name in zero)
    assert weights["1.weight"].tolist() == weights["1.running_var"].tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("normed", [parametrizations.weight_norm, nn.utils.weight_norm], ids=["new", "old"])
@pytest.mark.parametrize("dim", [None, 0], ids=["whole", "rows"])
def test_the_norm_of_a_weight_or_of_each_row_is_that_of_what_was_drawn(
    normed: Callable[..., nn.Module], dim: int | None
) -> None:
    net, plain = nn.Sequential(normed(nn.Linear(4, 4), dim=dim)), nn.Sequential(nn.Linear(4, 4))
    load(net, glorot_normal(net, 1))
    torch.testing.assert_close(net(torch.eye(4)).T, glorot_normal(plain, 1)["0.weight"])


@pytest.mark.parametrize("normed", [parametrizations.spectral_norm, nn.utils.spectral_norm], ids=["new", "old"])
@pytest.mark.parametrize(
    ("layer", "size"), [(partial(nn.Linear, 6, 4), (6,)), (partial(nn.ConvTranspose2d, 3, 5, 2), (3, 4, 4))]
)
def test_the_spectral_norm_of_theta_0_is_1(normed: Callable[..., nn.Module], layer: Any, size: tuple[int, ...]) -> None:
    net = nn.Sequential(normed(layer()))
    load(net, glorot_normal(net, 1))
    net.eval()(torch.zeros(2, *size))
    weight = net[0].weight if size == (6,) else net[0].weight.movedim(1, 0).flatten(1)
    assert torch.linalg.matrix_norm(weight, 2).item() == pytest.approx(1, abs=0.02)


class Scaled(nn.Module):
    """Rows times a number each: two parameters as of a weight norm, and no norm."""

    def forward(self, scale: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return scale * weight

    def right_inverse(self, weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.full((len(weight), 1), 2.0), weight / 2


def test_what_stands_beside_a_weight_is_its_norm_in_a_weight_norm_alone() -> None:
    net = nn.Sequential(parametrize.register_parametrization(nn.Linear(4, 3), "weight", Scaled()))
    plain = glorot_normal(nn.Sequential(nn.Linear(4, 3)), 1)["0.weight"]
    load(net, glorot_normal(net, 1))
    torch.testing.assert_close(net[0].weight, 2 * plain)


@pytest.mark.parametrize("kind", ["householder", "matrix_exp", "cayley"])
def test_an_orthogonal_weight_is_the_one_that_the_net_was_made_with(kind: str) -> None:
    """Its parameters are not weights: of others in their place, Householder's give a weight of zeros alone."""
    net = nn.Sequential(parametrizations.orthogonal(nn.Linear(6, 4), orthogonal_map=kind), nn.Linear(4, 2))
    before = net[0].weight.detach().clone()
    load(net, glorot_normal(net, 1))
    assert net[0].weight.equal(before)
    torch.testing.assert_close(net[0].weight @ net[0].weight.T, torch.eye(4))
    assert net[0].bias.tolist() == [0] * 4


@each
def test_the_whole_state_dict_is_given_so_that_it_can_be_loaded(init: Init) -> None:
    model = dropout_net(DATA.shape, DATA.classes)
    assert init(model, 1).keys() == model.state_dict().keys()


@each
def test_equal_seeds_give_equal_weights_whatever_the_net_held_and_other_seeds_others(init: Init) -> None:
    one, two = conv_net(DATA.shape, DATA.classes), conv_net(DATA.shape, DATA.classes)
    assert not same(one.state_dict(), two.state_dict())
    assert same(init(one, 1), init(two, 1))
    assert not torch.equal(init(one, 1)["4.weight"], init(one, 2)["4.weight"])


@each
def test_the_net_and_the_global_randomness_are_only_read(init: Init) -> None:
    model = conv_net(DATA.shape, DATA.classes)
    before, random = copied(model.state_dict()), torch.get_rng_state()
    for tensor in init(model, 1).values():
        tensor.zero_()
    assert same(model.state_dict(), before)
    assert torch.equal(torch.get_rng_state(), random)


# ---- pretrained

NAME = "SqueezeNet1_1_Weights.IMAGENET1K_V1"


def squeezenet(classes: int) -> nn.Module:
    torch.manual_seed(classes)
    return torchvision((3, 64, 64), classes, name="squeezenet1_1")


def hub(weights: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of torch.hub with a file of these weights, named after its checksum as torchvision's are."""
    monkeypatch.setenv("TORCH_HOME", str(Path("hub").resolve()))
    folder = Path("hub/hub/checkpoints")
    folder.mkdir(parents=True)
    torch.save(weights, folder / "file")
    digest = hashlib.sha256((folder / "file").read_bytes()).hexdigest()
    file = (folder / "file").rename(folder / f"squeezenet1_1-{digest[:8]}.pth")
    entry = SimpleNamespace(url=f"https://download.pytorch.org/models/{file.name}")
    monkeypatch.setattr("torchvision.models.get_weight", lambda _: entry)
    return file


def test_pretrained_weights_are_those_of_the_file_but_for_a_head_of_other_classes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    state = squeezenet(7).state_dict()
    hub(state, monkeypatch)
    net = squeezenet(3)
    weights, before = pretrained(net, 1, weights=NAME), net.state_dict()
    head = {"classifier.1.weight", "classifier.1.bias"}
    assert weights.keys() == before.keys()
    assert all(torch.equal(weights[name], state[name]) for name in state.keys() - head)
    assert all(torch.equal(weights[name], before[name]) for name in head)
    assert same(pretrained(squeezenet(7), 1, weights=NAME), state)


def test_weights_of_another_net_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    hub(squeezenet(7).state_dict(), monkeypatch)
    with pytest.raises(
        UserError, match=r"init\.weights=.*not those of this Sequential \(.* does not fit\); choose its own"
    ):
        pretrained(lenet_300_100((1, 28, 28), 10), 1, weights=NAME)


def test_a_damaged_file_is_refused_before_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    file = hub(squeezenet(7).state_dict(), monkeypatch)
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(UserError, match=r"pth is corrupt: its SHA-256 is .*; delete it"):
        pretrained(squeezenet(7), 1, weights=NAME)


def test_offline_a_missing_file_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*given: object, **named: object) -> None:
        raise URLError("no network")

    monkeypatch.setenv("TORCH_HOME", str(Path("empty").resolve()))
    monkeypatch.setattr("torch.hub.urlopen", unreachable)
    with pytest.raises(
        UserError, match=r"init\.weights=Squeeze.*pth is missing and could not be downloaded.*Put a copy of"
    ):
        pretrained(squeezenet(7), 1, weights=NAME)


@pytest.mark.parametrize("name", ["resnet18", "ResNet18_Weights.LATEST", "Weights.X", ""])
def test_weights_that_torchvision_does_not_have_are_refused(name: str) -> None:
    with pytest.raises(UserError, match="torchvision has no such weights; give a full name"):
        pretrained(squeezenet(7), 1, weights=name)


@pytest.mark.long
def test_the_digest_names_the_weights_and_re_initialization_is_refused() -> None:
    assert describe(partial(pretrained, weights=NAME)) == {"function": "init.pretrained", "weights": NAME}
    with pytest.raises(
        UserError, match="branch=reinitialize draws the weights anew by `init`, and init=pretrained draws"
    ):
        validated(["init=pretrained", "branch=[reinitialize]"])
    with pytest.raises(UserError, match="init=pretrained draws none"):
        validated(["init=pretrained", "branch=[signed_reinitialize]"])
    validated(["init=pretrained", "model=torchvision", "data=cifar10", "branch=[shuffle]"])


def test_what_is_fixed_stays_as_the_net_was_made() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 3))
    filters, prior = torch.arange(18.0).view(2, 1, 3, 3), torch.tensor([1.0, 2.0, 3.0])
    with torch.no_grad():
        net[0].weight.copy_(filters)
        net[0].bias.fill_(5)
        net[2].bias.copy_(prior)
    net[0].requires_grad_(False)
    net[2].bias.requires_grad_(False)
    drawn = glorot_normal(net, 1)
    assert drawn["0.weight"].equal(filters)
    assert drawn["0.bias"].tolist() == [5, 5]
    assert drawn["2.bias"].equal(prior)
    assert not drawn["2.weight"].equal(net[2].weight)


def test_a_fixed_norm_and_fixed_singular_vectors_stay_too() -> None:
    normed = parametrizations.weight_norm(nn.Linear(3, 2))
    normed.parametrizations.weight.original0.requires_grad_(False)
    before = copied(normed.state_dict())
    drawn = glorot_normal(normed, 1)
    assert drawn["parametrizations.weight.original0"].equal(before["parametrizations.weight.original0"])
    assert not drawn["parametrizations.weight.original1"].equal(before["parametrizations.weight.original1"])
    spectral = parametrizations.spectral_norm(nn.Linear(3, 2))
    spectral.requires_grad_(False)
    assert same(glorot_normal(spectral, 1), spectral.state_dict())
