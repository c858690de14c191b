"""Initializations: (net, seed) -> theta_0."""

import math
from collections.abc import Callable

import pytest
import torch
from small import DATA, conv_net, copied, dropout_net, same
from torch import Tensor, nn

from lth.init import glorot_normal, kaiming_normal
from lth.model import lenet_300_100

Init = Callable[[nn.Module, int], dict[str, Tensor]]
both = pytest.mark.parametrize("init", [glorot_normal, kaiming_normal])


@pytest.mark.parametrize(("init", "variance"), [(glorot_normal, 2 / (784 + 300)), (kaiming_normal, 2 / 784)])
def test_the_weights_of_the_first_layer_of_lenet_have_the_deviation_of_the_paper(init: Init, variance: float) -> None:
    first = init(lenet_300_100((1, 28, 28), 10), 1)["1.weight"]
    # 235,200 draws: the standard error of a deviation is 0.15%, that of the mean 0.2% of a deviation
    assert first.std().item() == pytest.approx(math.sqrt(variance), rel=0.01)
    assert abs(first.mean().item()) < 0.01 * math.sqrt(variance)


@both
def test_the_gaussian_is_not_truncated_so_that_4_55_percent_lie_beyond_two_deviations(init: Init) -> None:
    first = init(lenet_300_100((1, 28, 28), 10), 1)["1.weight"]
    assert ((first.abs() > 2 * first.std()).float().mean().item()) == pytest.approx(0.0455, abs=0.003)


def test_convolutions_count_the_kernel_in_their_fans() -> None:
    wide = nn.Sequential(nn.Conv2d(32, 64, 3))
    assert glorot_normal(wide, 1)["0.weight"].std().item() == pytest.approx(math.sqrt(2 / (9 * 32 + 9 * 64)), rel=0.03)
    assert kaiming_normal(wide, 1)["0.weight"].std().item() == pytest.approx(math.sqrt(2 / (9 * 32)), rel=0.03)


@both
def test_biases_start_at_0_and_batch_norm_as_pytorch_has_it(init: Init) -> None:
    weights = init(conv_net(DATA.shape, DATA.classes), 1)
    zero = ["0.bias", "1.bias", "1.running_mean", "4.bias", "1.num_batches_tracked"]
    assert all(not weights[name].any() for name in zero)
    assert weights["1.weight"].tolist() == weights["1.running_var"].tolist() == [1.0, 1.0, 1.0]


@both
def test_the_whole_state_dict_is_given_so_that_it_can_be_loaded(init: Init) -> None:
    model = dropout_net(DATA.shape, DATA.classes)
    assert init(model, 1).keys() == model.state_dict().keys()


@both
def test_equal_seeds_give_equal_weights_whatever_the_net_held_and_other_seeds_others(init: Init) -> None:
    one, two = conv_net(DATA.shape, DATA.classes), conv_net(DATA.shape, DATA.classes)
    assert not same(one.state_dict(), two.state_dict())
    assert same(init(one, 1), init(two, 1))
    assert not torch.equal(init(one, 1)["4.weight"], init(one, 2)["4.weight"])


@both
def test_the_net_and_the_global_randomness_are_only_read(init: Init) -> None:
    model = conv_net(DATA.shape, DATA.classes)
    before, random = copied(model.state_dict()), torch.get_rng_state()
    for tensor in init(model, 1).values():
        tensor.zero_()
    assert same(model.state_dict(), before)
    assert torch.equal(torch.get_rng_state(), random)
