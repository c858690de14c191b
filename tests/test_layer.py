"""Layers of a net: which are prunable, which gives the outputs, what each costs."""

from small import DATA, kinds_of, net
from torch import nn

from lth.layer import prunable


def test_weights_of_conv_and_linear_layers_are_prunable_and_the_one_that_gives_the_outputs_is_the_output() -> None:
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 4), nn.LayerNorm(4), nn.Linear(4, 3)
    )
    assert kinds_of(model, DATA.shape) == {"0.weight": "conv", "3.weight": "linear", "5.weight": "output"}


def test_names_of_prunable_weights_come_in_the_order_of_the_net() -> None:
    assert list(prunable(net((1, 4, 4), 3))) == ["1.weight", "3.weight", "5.weight"]


def test_a_convolution_in_a_part_called_shortcut_or_downsample_is_a_shortcut() -> None:
    def inside(part: str) -> list[str]:
        return list(prunable(nn.ModuleDict({part: nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1))})).values())

    assert (inside("shortcut"), inside("downsample")) == (["shortcut"], ["shortcut"])
    assert (inside("shortcuts"), inside("my_shortcut"), inside("down")) == (["conv"], ["conv"], ["conv"])
    assert prunable(nn.ModuleDict({"shortcut": nn.Conv1d(1, 1, 1)})) == {"shortcut.weight": "shortcut"}


def test_a_linear_layer_in_a_shortcut_is_a_linear_layer() -> None:
    model = nn.ModuleDict({"shortcut": nn.Linear(1, 1), "end": nn.Linear(1, 1)})
    assert prunable(model) == {"shortcut.weight": "linear", "end.weight": "linear"}


def test_a_net_that_is_a_single_layer_has_a_name_without_a_dot() -> None:
    assert kinds_of(nn.Linear(2, 2), (2,)) == {"weight": "output"}
