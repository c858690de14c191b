"""Units of nets whose operations mix them: the smaller net is the masked one, or the units stay and are named."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import shell
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small import example_of, kinds_of, recipe
from structured_nets import MAPS, VECTORS, Net, Tokens
from torch import Tensor, nn

from lth import UserError, criterion, neuron, structure
from lth.compress.compact import compact, shrunk
from lth.data import Examples
from lth.imp import check, dense
from lth.init import glorot_normal
from lth.layer import layers
from lth.model import torchvision
from lth.neuron import Group
from lth.ticket import Mask, Trained, full_mask, masked
from lth.weights import copied, load, weights_of

SHAPE = (1, 4, 4)
INPUTS = example_of(SHAPE, 5, torch.float64)


def net_of(kind: str, names: Sequence[str], heads: int = 1, seed: int = 0) -> nn.Module:
    """A net in float64 whose biases are not 0."""
    torch.manual_seed(seed)
    net = Net(kind, names, heads).double()
    with torch.no_grad():
        for p in net.parameters():
            if p.ndim == 1:
                p.add_(0.3 * torch.randn_like(p))
    return net


def random_units(groups: Sequence[Group], seed: int) -> list[Tensor]:
    """About half of the units, never all."""
    random = torch.Generator().manual_seed(seed)
    gone = [torch.rand(group.size, generator=random) < 0.5 for group in groups]
    for units in gone:
        units[int(torch.randint(len(units), (1,), generator=random))] = False
    return gone


def mask_without(net: nn.Module, groups: Sequence[Group], gone: Sequence[Tensor]) -> Mask:
    mask: Mask = full_mask(net, layers(net, INPUTS).kinds)
    for group, units in zip(groups, gone, strict=True):
        mask = neuron.without(mask, group, units)
    return mask


def outputs_and_gradients(net: nn.Module, x: Tensor, training: bool) -> tuple[Tensor, dict[str, Tensor]]:
    torch.manual_seed(0)
    y = net.train(training)(x)
    (y * torch.linspace(-1, 2, y.numel(), dtype=y.dtype).view(y.shape)).sum().backward()
    return y.detach(), {name: p.grad for name, p in net.named_parameters() if p.grad is not None}


def with_mask(net: nn.Module, mask: Mapping[str, Tensor]) -> nn.Module:
    other = copied(net)
    load(other, masked(weights_of(net), mask))
    return other


def assert_same(big: nn.Module, small: nn.Module, groups: Sequence[Group], gone: Sequence[Tensor], training: bool,
                x: Tensor = INPUTS) -> None:  # fmt: skip
    """Values to 1e-10, and the gradients of the parameters that remain."""
    expected, gradients = outputs_and_gradients(big, x, training)
    found, own = outputs_and_gradients(small, x, training)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    selected = neuron.selected(gradients, groups, gone)
    assert own.keys() == selected.keys()
    for name, gradient in selected.items():
        torch.testing.assert_close(own[name], gradient, rtol=1e-8, atol=1e-10)


RANDOM = {"dropout", "functional dropout", "random relu", "drop path", "noise"}  # in training
UNSTABLE = {"spectral norm"}  # moves its own estimate at each call in training


@pytest.mark.long
@settings(deadline=None, max_examples=25)
@given(st.data(), st.sampled_from(["vectors", "maps"]), st.integers(1, 2), st.integers(0, 1000))
def test_units_of_any_net_are_removed_exactly_or_stay_and_are_named(
    data: st.DataObject, kind: str, heads: int, seed: int
) -> None:
    menu = sorted(VECTORS if kind == "vectors" else MAPS)
    names = data.draw(st.lists(st.sampled_from(menu), min_size=1, max_size=2))
    net = net_of(kind, names, heads, seed)
    try:
        found = neuron.units(net, INPUTS)
    except UserError:  # its operations can't be followed
        return
    assert found.groups or found.whole
    gone = random_units(found.groups, seed)
    big = with_mask(net, mask_without(net, found.groups, gone))
    small = neuron.smaller(big, weights_of(big), found.groups, gone)
    if "single precision" in names:
        torch.testing.assert_close(small.eval()(INPUTS), big.eval()(INPUTS), rtol=1e-4, atol=1e-4)
        return
    assert_same(big, small, found.groups, gone, training=False)
    if not set(names) & (RANDOM | UNSTABLE):
        assert_same(copied(big), copied(small), found.groups, gone, training=True)


@settings(deadline=None, max_examples=15)
@given(st.data(), st.sampled_from(["vectors", "maps"]), st.floats(0.1, 0.9), st.integers(0, 1000))
def test_any_ticket_is_made_smaller_exactly_or_refused(
    data: st.DataObject, kind: str, density: float, seed: int
) -> None:
    menu = sorted(set(VECTORS if kind == "vectors" else MAPS) - {"single precision"})
    net = net_of(kind, data.draw(st.lists(st.sampled_from(menu), min_size=1, max_size=2)), 1, seed).eval()
    random = torch.Generator().manual_seed(seed)
    try:
        mask = {
            name: torch.rand(m.shape, generator=random) < density
            for name, m in full_mask(net, layers(net, INPUTS).kinds).items()
        }
    except ValueError:  # batch statistics of one example
        return
    with torch.no_grad():
        expected = with_mask(net, mask)(INPUTS)
        for make in (shrunk, compact):
            try:
                small = make(net, weights_of(net), mask, INPUTS)
            except UserError:
                continue
            torch.testing.assert_close(small.eval()(INPUTS), expected, rtol=1e-9, atol=1e-9)


MIXED = ["softmax", "normalize", "layer norm", "rms norm", "group norm", "glu", "chunk", "flip", "roll", "shuffle"]
MIXED += ["maxout", "mean", "einsum", "lstm", "gru", "attention", "bilinear", "weight norm", "cosine", "sort", "frozen"]


@pytest.mark.parametrize("name", MIXED)
def test_units_that_an_operation_mixes_all_stay_and_their_layer_is_named(name: str) -> None:
    found = neuron.units(net_of("vectors", [name]), INPUTS)
    assert not found.groups
    assert "body.1" in found.whole


MIXED_MAPS = ["channel shuffle", "group norm", "layer norm", "response norm", "softmax", "pixel shuffle", "transposed"]
MIXED_MAPS += ["grouped", "depthwise, two each", "mean", "largest", "maxout", "flip", "space", "scale"]


@pytest.mark.parametrize("name", MIXED_MAPS)
def test_channels_that_an_operation_mixes_all_stay_and_their_layer_is_named(name: str) -> None:
    found = neuron.units(net_of("maps", [name]), INPUTS)
    assert not found.groups
    assert "body.0" in found.whole


REMOVED = ["relu", "dropout", "random relu", "batch norm", "prelu", "prelu of units", "cat", "stack", "scalar"]
REMOVED += ["residual", "gate", "twice", "no bias"]


@pytest.mark.parametrize("name", REMOVED)
def test_units_that_nothing_mixes_can_all_be_removed(name: str) -> None:
    found = neuron.units(net_of("vectors", [name]), INPUTS)
    assert found.groups
    assert not found.whole


def test_of_a_net_with_both_the_mixed_units_stay_and_the_others_go() -> None:
    net = net_of("vectors", ["softmax", "relu"])
    (group,) = neuron.units(net, INPUTS).groups
    assert [part.name for part in group.of(full_mask(net), 0)] == ["body.3.weight"]
    scores = {name: w.abs() for name, w in weights_of(net).items()}
    mask = full_mask(net)
    kept = structure.neuron(scores, mask, dict.fromkeys(mask, 0.5), net, INPUTS)
    assert kept["body.1.weight"].all()
    assert int(kept["body.3.weight"].any(1).sum()) == 4


def test_the_layers_that_stay_whole_are_logged_with_the_operation(caplog: pytest.LogCaptureFixture) -> None:
    net = net_of("vectors", ["layer norm", "relu"])
    mask = full_mask(net)
    with caplog.at_level(logging.WARNING, logger="lth"):
        structure.neuron({}, mask, dict.fromkeys(mask, 1.0), net, INPUTS)
    assert (
        "structure=neuron leaves all units of some layers of Net (body.1: layer body.2, LayerNorm, reads them)"
        in caplog.text
    )


def test_a_net_without_any_unit_to_remove_is_refused_with_layer_operation_and_remedy() -> None:
    net = net_of("vectors", ["softmax"])
    mask = full_mask(net)
    with pytest.raises(UserError, match=r"units of Net \(body\.1: .*Softmax.*\): use structure=weight"):
        structure.neuron({}, mask, dict.fromkeys(mask, 1.0), net, INPUTS)
    alone = nn.Sequential(nn.Flatten(), nn.Linear(16, 3)).double()
    with pytest.raises(UserError, match="no layer is in front of another"):
        structure.neuron({}, full_mask(alone), {"1.weight": 1.0}, alone, INPUTS)


def mixing(shape: Sequence[int], classes: int) -> nn.Module:
    """A net whose units can't be removed."""
    return Net("vectors", ["softmax"])


def needs_accuracy(net: nn.Module, trained: Trained, batch: Examples) -> dict[str, Tensor]:
    """A criterion that looks at evaluations, of which there are none before training."""
    last = float(trained.evaluations["test_accuracy"].iloc[-1])
    return {name: weight * last for name, weight in trained.weights().items() if name in trained.mask}


def test_a_structure_can_refuse_a_net_before_it_is_trained() -> None:
    mixed, plain = recipe(model=mixing), recipe()
    with pytest.raises(UserError, match="use structure=weight"):
        check(mixed, criterion.magnitude, structure.neuron, dense(mixed, glorot_normal))
    check(mixed, criterion.magnitude, structure.weight, dense(mixed, glorot_normal))
    check(plain, criterion.magnitude, structure.neuron, dense(plain, glorot_normal))


def test_a_criterion_can_refuse_a_net_before_it_is_trained_and_may_need_what_training_gives() -> None:
    plain = recipe()
    with pytest.raises(UserError, match="no batch norm follows"):
        check(plain, criterion.batch_norm_scale, structure.neuron, dense(plain, glorot_normal))
    check(plain, needs_accuracy, structure.neuron, dense(plain, glorot_normal))


@pytest.mark.long
def test_the_command_refuses_a_structure_that_cannot_treat_the_net_before_anything_is_trained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = ["model._target_=structured_nets.mixed", "structure=neuron", f"root={tmp_path}"]
    assert shell.run(*overrides) == 1
    printed = " ".join(capsys.readouterr().out.split())
    assert "structure=neuron can't remove units of Sequential (1: without some of its units" in printed
    assert "(Softmax may mix them)): use structure=weight" in printed
    assert not shell.files(tmp_path / "trained")


def test_units_of_a_net_on_tokens_are_removed_from_the_residual_branch_and_the_tied_embedding_stays() -> None:
    torch.manual_seed(0)
    net, tokens = Tokens(), torch.randint(0, 11, (5, 6))
    (group,) = neuron.units(net, tokens).groups
    gone = torch.arange(12) % 2 == 0
    mask = neuron.without(full_mask(net, layers(net, tokens).kinds), group, gone)
    small = shrunk(net, weights_of(net), mask, tokens)
    assert small.up.out_features == small.down.in_features == 6
    assert small.head.weight is small.embedding.weight
    torch.testing.assert_close(small.eval()(tokens), with_mask(net, mask).eval()(tokens), rtol=1e-5, atol=1e-6)


def test_the_comparison_sees_a_difference_in_values_in_gradients_and_in_training_alone() -> None:
    def scaled(at_rest: float, in_training: float) -> nn.Module:
        torch.manual_seed(0)
        layer = nn.Linear(16, 3)
        layer.register_forward_hook(lambda layer, _, y: y * (in_training if layer.training else at_rest))
        return nn.Sequential(nn.Flatten(), nn.BatchNorm1d(16), layer)  # which can't be trained on a single input

    one = scaled(1, 1)
    assert neuron.difference(one, scaled(1, 1), INPUTS, dict) == ""
    assert neuron.difference(one, scaled(1 + 1e-6, 1), INPUTS, dict) == "in evaluation its outputs differ"
    assert neuron.difference(one, scaled(1, 2), INPUTS, dict) == "in training its outputs differ"
    assert neuron.difference(one, scaled(1, 2), INPUTS, dict, training=False) == ""
    frozen = scaled(1, 1)
    frozen[2].bias.requires_grad_(False)
    assert neuron.difference(one, frozen, INPUTS, dict) == "in evaluation it has other parameters"


# ---- torchvision

FEW = ["squeezenet1_1", "mobilenet_v3_small", "shufflenet_v2_x0_5"]
LARGE = {"vit_h_14", "vit_l_16", "vit_l_32", "regnet_y_128gf"}  # more than 1 GB of float32


def smaller_or_refused(name: str) -> None:
    from torchvision import models

    size = 224 if name.startswith(("vit", "maxvit")) else 96 if name.startswith(("inception", "alexnet")) else 64
    assert name in models.list_models(module=models)
    torch.manual_seed(0)
    net, images = torchvision((3, size, size), 10, name=name), example_of((3, size, size), 2)
    try:
        found = neuron.units(net, images)
    except UserError:  # its operations can't be followed
        return
    gone = random_units(found.groups, 0)
    mask: Mask = full_mask(net, kinds_of(net, images.shape[1:]))
    for group, units in zip(found.groups, gone, strict=True):
        mask = neuron.without(mask, group, units)
    big = with_mask(net, mask).eval()
    small = compact(net, weights_of(net), mask, images)
    with torch.no_grad():
        expected = big(images)
        scale = float(expected.abs().max())
        torch.testing.assert_close(small(images), expected, rtol=1e-4, atol=1e-4 * scale)
    assert sum(p.numel() for p in small.parameters()) < sum(p.numel() for p in net.parameters())


@pytest.mark.long
@pytest.mark.parametrize("name", FEW)
def test_units_of_a_net_of_torchvision_are_removed_exactly_or_stay(name: str) -> None:
    smaller_or_refused(name)


def zoo() -> list[str]:
    from torchvision import models

    return [name for name in models.list_models(module=models) if name not in LARGE]


@pytest.mark.slow
@pytest.mark.parametrize("name", zoo())
def test_units_of_every_net_of_torchvision_are_removed_exactly_or_stay(name: str) -> None:
    smaller_or_refused(name)


class Mixed(nn.Module):
    """Units that are multiplied by their mean; no biases."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(16, 6, bias=False), nn.Linear(6, 3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        h = self.one(x.flatten(1))
        out: Tensor = self.two(h * h.mean(1, keepdim=True))
        return out


def test_units_are_compared_on_other_inputs_where_all_are_zero() -> None:
    """On inputs of 0 this net gives 0, with and without some of its units."""
    found = neuron.units(Mixed(), torch.zeros(5, *SHAPE))
    assert not found.groups
    assert [*found.whole] == ["one"]
