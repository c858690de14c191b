"""Architectures."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from small import few
from torch import nn

from lth.model import lenet_300_100, mlp
from lth.ticket import full_mask, total


def test_lenet_300_100_has_266200_weights_and_410_biases() -> None:
    net = lenet_300_100((1, 28, 28), 10)
    assert {name: m.numel() for name, m in full_mask(net).items()} == {
        "1.weight": 235_200,
        "3.weight": 30_000,
        "5.weight": 1_000,
    }
    assert total(full_mask(net)) == 266_200
    assert sum(p.numel() for p in net.parameters()) == 266_610


def test_there_is_a_relu_behind_every_hidden_layer_and_none_behind_the_output() -> None:
    kinds = [type(layer) for layer in lenet_300_100((1, 28, 28), 10).children()]
    assert kinds == [nn.Flatten, nn.Linear, nn.ReLU, nn.Linear, nn.ReLU, nn.Linear]


def test_an_mlp_computes_what_can_be_computed_by_hand() -> None:
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
