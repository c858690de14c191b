"""Architectures."""

import math
from collections import Counter
from collections.abc import Callable
from functools import lru_cache, partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small import copied, few, kinds_of
from torch import nn
from torchvision import models

from lth import UserError
from lth.layer import prunable
from lth.model import conv_2, conv_4, conv_6, lecun_lenet_5, lenet_5, lenet_300_100, mlp, resnet_20, torchvision, vgg_19
from lth.model.resnet import Block
from lth.schedule import iterative
from lth.ticket import full_mask, total

CIFAR, MNIST = (3, 32, 32), (1, 28, 28)
CONV = {"conv_2": conv_2, "conv_4": conv_4, "conv_6": conv_6}
NETS = {**CONV, "resnet_20": resnet_20, "vgg_19": vgg_19}
conv_nets = pytest.mark.parametrize("model", CONV.values(), ids=CONV)
nets = pytest.mark.parametrize("model", NETS.values(), ids=NETS)

Model = Callable[..., nn.Module]


@lru_cache
def made(model: Model) -> nn.Module:
    """The real net for CIFAR-10, built once."""
    return model(CIFAR, 10)


def test_lenet_300_100_has_266200_weights_and_410_biases() -> None:
    net = lenet_300_100((1, 28, 28), 10)
    assert {name: m.numel() for name, m in full_mask(net).items()} == {
        "1.weight": 235_200,
        "3.weight": 30_000,
        "5.weight": 1_000,
    }
    assert total(full_mask(net)) == 266_200
    assert sum(p.numel() for p in net.parameters()) == 266_610


def test_every_hidden_layer_has_a_relu_and_the_output_has_none() -> None:
    kinds = [type(layer) for layer in lenet_300_100((1, 28, 28), 10).children()]
    assert kinds == [nn.Flatten, nn.Linear, nn.ReLU, nn.Linear, nn.ReLU, nn.Linear]


def test_an_mlp_equals_one_computed_by_hand() -> None:
    net = mlp((1, 1, 2), 1, hidden=[2])
    net.load_state_dict(
        {
            "1.weight": torch.tensor([[1.0, 2.0], [-1.0, 0.0]]),
            "1.bias": torch.tensor([0.5, 0.0]),
            "3.weight": torch.tensor([[-2.0, 7.0]]),
            "3.bias": torch.tensor([1.0]),
        }
    )
    assert net(torch.tensor([[[[3.0, 4.0]]]])).tolist() == [[-22.0]]


@few
@given(st.lists(st.integers(1, 9), max_size=3), st.integers(1, 4), st.integers(1, 5))
def test_an_mlp_has_the_widths_that_are_asked_for(hidden: list[int], channels: int, classes: int) -> None:
    net = mlp((channels, 2, 3), classes, hidden=hidden)
    layers = [(layer.in_features, layer.out_features) for layer in net.children() if isinstance(layer, nn.Linear)]
    assert layers == list(zip([6 * channels, *hidden], [*hidden, classes], strict=True))
    assert net(torch.zeros(7, channels, 2, 3)).shape == (7, classes)


def by_kind(net: nn.Module, shape: tuple[int, ...] = (3, 32, 32)) -> dict[str, int]:
    """Kind -> prunable weights of that kind."""
    kinds = kinds_of(net, shape)
    return dict(sum((Counter({kinds[name]: m.numel()}) for name, m in full_mask(net).items()), Counter[str]()))


@pytest.mark.parametrize(
    ("model", "weights", "kinds"),
    [
        (conv_2, 4_300_992, {"conv": 38_592, "linear": 4_259_840, "output": 2_560}),
        (conv_4, 2_425_024, {"conv": 259_776, "linear": 2_162_688, "output": 2_560}),
        (conv_6, 2_261_184, {"conv": 1_144_512, "linear": 1_114_112, "output": 2_560}),
        (resnet_20, 270_896, {"conv": 267_696, "shortcut": 2_560, "output": 640}),
        (vgg_19, 20_024_000, {"conv": 20_018_880, "output": 5_120}),
    ],
    ids=NETS,
)
def test_the_nets_of_figure_2_have_as_many_weights_as_their_description_gives(
    model: Model, weights: int, kinds: dict[str, int]
) -> None:
    assert total(full_mask(made(model))) == weights
    assert by_kind(made(model)) == kinds


def test_all_parameters_are_weights_biases_and_two_per_channel_of_batch_norm() -> None:
    def parameters(model: Model) -> int:
        return sum(p.numel() for p in made(model).parameters())

    assert parameters(conv_2) == 4_300_992 + 64 + 64 + 256 + 256 + 10
    # 7 norms of 16 channels, 6 of 32 and 64 each, and those of the two shortcuts; a bias only in the output layer
    assert parameters(resnet_20) == 270_896 + 2 * (7 * 16 + 6 * 32 + 6 * 64 + 32 + 64) + 10 == 272_474
    assert parameters(vgg_19) == 20_024_000 + 2 * (2 * 64 + 2 * 128 + 4 * 256 + 8 * 512) + 10


def test_conv_2_is_two_convolutions_a_pooling_and_three_linear_layers_with_relu_between_them() -> None:
    kinds = [type(layer).__name__ for layer in made(conv_2).children()]
    expected = "Conv2d ReLU Conv2d ReLU MaxPool2d Flatten Linear ReLU Linear ReLU Linear"
    assert kinds == expected.split()


@pytest.mark.parametrize(
    ("printed", "level", "rate"),
    [(26.4, 7, 0.15), (15.1, 10, 0.15), (10.5, 12, 0.15), (9.31, 17, 0.1), (11.9, 15, 0.1), (15.2, 13, 0.1),
     (19.7, 11, 0.1)],
)  # fmt: skip
def test_the_percentages_that_the_paper_prints_of_conv_6_are_those_of_192_filters(
    printed: float, level: int, rate: float
) -> None:
    sizes, ladder = by_kind(made(partial(conv_6, filters=192))), iterative(level, conv=rate)
    share = sum(ladder.density(level, kind) * size for kind, size in sizes.items()) / 1_667_264
    digits = len(str(printed).partition(".")[2])
    assert (sum(sizes.values()), round(100 * share, digits)) == (1_667_264, printed)


def widths(net: nn.Module) -> list[int]:
    return [layer.out_channels for layer in net.modules() if isinstance(layer, nn.Conv2d)]


def test_the_convolutions_are_as_many_and_as_wide_as_in_figure_2() -> None:
    assert widths(made(conv_2)) == [64, 64]
    assert widths(made(conv_4)) == [64, 64, 128, 128]
    assert widths(made(conv_6)) == [64, 64, 128, 128, 256, 256]
    assert widths(made(vgg_19)) == [64] * 2 + [128] * 2 + [256] * 4 + [512] * 8
    # one convolution, three stages of three blocks; the third of blocks 4 and 7 is the shortcut
    assert widths(made(resnet_20)) == [16] + [16] * 6 + [32] * 7 + [64] * 7


@conv_nets
def test_the_conv_nets_have_no_batch_norm_and_no_dropout_unless_it_is_asked_for(model: Model) -> None:
    allowed = {nn.Sequential, nn.Conv2d, nn.ReLU, nn.MaxPool2d, nn.Flatten, nn.Linear}
    assert {type(layer) for layer in made(model).modules()} == allowed


@conv_nets
def test_dropout_comes_behind_the_two_hidden_linear_layers_alone_and_changes_no_count(model: Model) -> None:
    net = model(CIFAR, 10, dropout=0.5)
    layers = [type(layer) for layer in net.children()]
    assert layers[-7:] == [nn.Linear, nn.ReLU, nn.Dropout, nn.Linear, nn.ReLU, nn.Dropout, nn.Linear]
    assert [layer.p for layer in net.modules() if isinstance(layer, nn.Dropout)] == [0.5, 0.5]
    assert by_kind(net) == by_kind(made(model))


def test_the_deep_nets_have_no_dropout() -> None:
    assert not any(isinstance(layer, nn.Dropout) for model in (resnet_20, vgg_19) for layer in made(model).modules())


@nets
@pytest.mark.parametrize(("shape", "classes"), [(CIFAR, 100), (MNIST, 10)], ids=["cifar100", "mnist"])
def test_a_net_gives_one_number_per_image_and_class(model: Model, shape: tuple[int, int, int], classes: int) -> None:
    net = model(shape, classes).eval()
    with torch.no_grad():
        assert net(torch.zeros(2, *shape)).shape == (2, classes)


def test_on_digits_conv_2_sees_one_channel_and_flattens_14_by_14() -> None:
    net = conv_2(MNIST, 10)
    assert [tuple(net.get_parameter(name).shape) for name in prunable(net)] == [
        *((64, 1, 3, 3), (64, 64, 3, 3), (256, 64 * 14 * 14), (256, 256), (10, 256))
    ]


@few
@given(st.sampled_from([(conv_2, 2), (conv_4, 4), (conv_6, 8)]), st.integers(0, 5), st.integers(0, 5))
def test_images_of_any_size_that_can_be_halved_often_enough_go_through(
    net: tuple[Model, int], height: int, width: int
) -> None:
    model, least = net
    shape = (2, least + height, least + width)
    with torch.no_grad():
        assert model(shape, 3)(torch.zeros(1, *shape)).shape == (1, 3)


@pytest.mark.parametrize(("model", "size", "times"), [(conv_2, 1, 1), (conv_4, 3, 2), (conv_6, 7, 3), (vgg_19, 15, 4)])
def test_images_that_are_too_small_are_refused_with_how_often_they_would_be_halved(
    model: Model, size: int, times: int
) -> None:
    for shape in ((3, size, 32), (3, 32, size)):
        with pytest.raises(UserError, match=f"images of {shape[1]} x {shape[2]} can't be halved {times} times"):
            model(shape, 10)


def test_the_smallest_images_of_vgg_19_and_resnet_20_go_through() -> None:
    with torch.no_grad():
        assert made(vgg_19)(torch.zeros(2, 3, 16, 16)).shape == (2, 10)
        assert resnet_20((3, 1, 1), 10).eval()(torch.zeros(2, 3, 1, 1)).shape == (2, 10)


@pytest.mark.parametrize(("before", "width", "stride"), [(4, 4, 1), (4, 6, 2), (4, 4, 2), (4, 6, 1)])
def test_a_residual_block_computes_what_that_of_torchvision_computes(before: int, width: int, stride: int) -> None:
    ours = Block(before, width, stride)
    shortcut = None
    if (before, stride) != (width, 1):
        shortcut = nn.Sequential(nn.Conv2d(before, width, 1, stride, bias=False), nn.BatchNorm2d(width))
    theirs = models.resnet.BasicBlock(before, width, stride, shortcut)
    names = {"norm": "bn", "shortcut": "downsample"}
    renamed = {}
    for name, value in copied(ours.state_dict()).items():
        for mine, their in names.items():
            name = name.replace(mine, their)
        renamed[name] = value
    theirs.load_state_dict(renamed)
    images = torch.randn(5, before, 6, 6, generator=torch.Generator().manual_seed(0))
    assert torch.equal(ours(images), theirs(images))
    assert torch.equal(ours.norm2.running_var, theirs.bn2.running_var)


def test_resnet_20_halves_the_image_twice_and_averages_what_is_left() -> None:
    net, shapes = resnet_20(CIFAR, 10), {}
    for name, layer in net.named_children():
        layer.register_forward_hook(lambda _, __, out, name=name: shapes.update({name: tuple(out.shape[1:])}))
    net(torch.zeros(1, *CIFAR))
    assert [shapes[name] for name in ("conv", "block3", "block4", "block6", "block7", "block9", "flat")] == [
        *((16, 32, 32), (16, 32, 32), (32, 16, 16), (32, 16, 16), (64, 8, 8), (64, 8, 8), (64,))
    ]


def test_vgg_19_is_that_of_torchvision_with_an_average_for_the_last_pooling_and_one_linear_layer() -> None:
    theirs = models.vgg.make_layers(models.vgg.cfgs["E"], batch_norm=True)

    def described(layers: list[nn.Module]) -> list[tuple[str, object]]:
        return [(type(a).__name__, getattr(a, "out_channels", getattr(a, "num_features", None))) for a in layers]

    ours = list(made(vgg_19).children())
    assert described(ours[:-3]) == described(list(theirs)[:-1])
    assert [type(layer) for layer in ours[-3:]] == [nn.AdaptiveAvgPool2d, nn.Flatten, nn.Linear]


def test_a_net_of_torchvision_by_name_is_that_of_torchvision_for_so_many_classes() -> None:
    ours, theirs = torchvision(CIFAR, 10, name="resnet18"), models.resnet18(num_classes=10)
    theirs.load_state_dict(ours.state_dict())
    images = torch.randn(2, *CIFAR, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(ours.eval()(images), theirs.eval()(images))
    # 64 * 128 + 128 * 256 + 256 * 512 in the three shortcuts
    assert by_kind(ours) == {"conv": 10_994_880, "shortcut": 172_032, "output": 5_120}
    assert [name for name, kind in prunable(ours).items() if kind == "shortcut"] == [
        f"layer{stage}.0.downsample.0.weight" for stage in (2, 3, 4)
    ]


@pytest.mark.parametrize("name", ["resnet19", "ResNet18", "fcn_resnet50"])
def test_an_unknown_name_is_an_error_that_lists_the_classifiers_of_torchvision(name: str) -> None:
    with pytest.raises(UserError, match=f"model.name={name}: .*it has alexnet, .*resnet18.*wide_resnet50_2$") as error:
        torchvision(CIFAR, 10, name=name)
    assert "fcn_resnet101" not in str(error.value), "that one segments"


def test_images_of_one_channel_are_refused_by_the_nets_of_torchvision() -> None:
    with pytest.raises(UserError, match=r"needs images of 3 channels, these have 1: use data=cifar10"):
        torchvision(MNIST, 10, name="resnet18")


def test_googlenet_comes_without_its_auxiliary_heads() -> None:
    net = torchvision(CIFAR, 10, name="googlenet")
    assert not [name for name, _ in net.named_modules() if "aux" in name]
    assert list(kinds_of(net, CIFAR).values()).count("output") == 1
    assert net(torch.zeros(2, *CIFAR)).shape == (2, 10)


def test_lenet_5_is_caffes_with_430500_weights() -> None:
    net = lenet_5((1, 28, 28), 10)
    counts = {name: net.get_parameter(name).numel() for name in prunable(net)}
    assert counts == {"0.weight": 500, "2.weight": 25_000, "5.weight": 400_000, "7.weight": 5_000}
    assert [type(layer).__name__ for layer in net.children()] == [
        "Conv2d", "MaxPool2d", "Conv2d", "MaxPool2d", "Flatten", "Linear", "ReLU", "Linear"
    ]  # fmt: skip
    assert net(torch.zeros(2, 1, 28, 28)).shape == (2, 10)


def test_the_lenet_5_of_1998_has_44190_weights_in_five_layers() -> None:
    net = lecun_lenet_5((1, 28, 28), 10)
    sizes = [tuple(p.shape) for p in net.parameters() if p.dim() > 1]
    assert sizes == [(6, 1, 5, 5), (16, 6, 5, 5), (120, 256), (84, 120), (10, 84)]
    assert sum(math.prod(size) for size in sizes) == 44_190
    assert net(torch.zeros(2, 1, 28, 28)).shape == (2, 10)
    with pytest.raises(UserError, match="8 x 8 are too small"):
        lecun_lenet_5((1, 8, 8), 10)


def test_lenet_5_refuses_images_that_two_convolutions_leave_nothing_of() -> None:
    with pytest.raises(UserError, match="8 x 8"):
        lenet_5((1, 8, 8), 10)


def test_dropout_of_an_mlp_comes_behind_each_hidden_layer() -> None:
    net = mlp((2, 3), 4, hidden=(5, 6), dropout=0.3)
    kinds = [type(layer).__name__ for layer in net.children()]
    assert kinds == ["Flatten", "Linear", "ReLU", "Dropout", "Linear", "ReLU", "Dropout", "Linear"]
    assert [layer.p for layer in net.children() if isinstance(layer, nn.Dropout)] == [0.3, 0.3]
    assert not [layer for layer in mlp((2, 3), 4, hidden=(5,)).children() if isinstance(layer, nn.Dropout)]
