"""L1 and L2 in the loss."""

from functools import partial

import pytest
import torch
from small import COLOUR, DATA, conv_net, half_pruned, recipe
from torch import nn

from lth import UserError
from lth.data import normalized, rows
from lth.engine import train
from lth.regularization import batch_norm_l1, l1, l2, none
from lth.store.digest import describe

WEIGHTS = [torch.tensor([[1.0, -2.0]]), torch.tensor([0.5])]


def test_l1_is_the_sum_of_absolute_weights() -> None:
    assert l1(WEIGHTS, strength=2.0) == 7.0


def test_l2_is_the_sum_of_squares() -> None:
    assert l2(WEIGHTS, strength=2.0) == 10.5


@pytest.mark.parametrize("penalty", [partial(l1, strength=0.01), partial(l2, strength=0.01)])
def test_training_is_that_of_a_plain_loop_with_the_penalty_in_its_loss(penalty: partial[torch.Tensor]) -> None:
    small = recipe(regularization=penalty)
    ticket = half_pruned(small)
    (ours,) = train([ticket], recipe=small)

    net = small.net()
    net.load_state_dict({n: w * ticket.mask[n] if n in ticket.mask else w for n, w in ticket.weights.items()})
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    images, labels = normalized(DATA, DATA.train)
    for chosen in rows(1, 0, small.steps, size=len(labels), batch_size=small.batch_size):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(net(images[chosen]), labels[chosen])
        (loss + penalty([net.get_parameter(name) for name in ticket.mask])).backward()
        optimizer.step()
        for name, mask in ticket.mask.items():
            net.get_parameter(name).data.mul_(mask)
    for name, weight in net.state_dict().items():
        torch.testing.assert_close(ours.weights()[name], weight, rtol=1e-5, atol=1e-7)


def test_the_reported_training_loss_is_without_the_penalty() -> None:
    heavy = recipe(regularization=partial(l1, strength=1e-12))
    ticket = half_pruned(heavy)
    with_it, without = (train([ticket], recipe=r)[0].evaluations["train_loss"][1] for r in (heavy, recipe()))
    assert with_it == pytest.approx(without, abs=1e-6)


def test_biases_are_left_alone() -> None:
    strong = recipe(regularization=partial(l2, strength=4.0), optimizer=partial(torch.optim.SGD, lr=1e-9))
    ticket = half_pruned(strong)
    (trained,) = train([ticket], recipe=strong)
    for name in ticket.weights.keys() - ticket.mask.keys():
        assert (trained.weights()[name] - ticket.weights[name]).abs().max() < 1e-6


def test_no_regularization_is_no_part_of_the_name_of_a_result() -> None:
    assert "regularization" not in describe(recipe(regularization=none))
    assert describe(recipe(regularization=partial(l1, strength=2e-5)))["regularization"] == {
        "function": "regularization.l1",
        "strength": 2e-5,
    }


@pytest.mark.parametrize("width", [1, 2])
def test_the_penalty_of_batch_norm_is_on_its_scales(width: int) -> None:
    """A plain loop with strength * sum |gamma| in its loss, and weights as they would be without; one net or two."""
    small = recipe(model=conv_net, data=COLOUR, regularization=partial(batch_norm_l1, strength=0.1))
    tickets = [half_pruned(small, replicate=replicate) for replicate in range(1, 1 + width)]
    (ours, *_) = train(tickets, recipe=small, width=width)
    net = small.net()
    start = tickets[0]
    net.load_state_dict({n: w * start.mask[n] if n in start.mask else w for n, w in start.weights.items()})
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    images, labels = normalized(COLOUR, COLOUR.train)
    for chosen in rows(1, 0, small.steps, size=len(labels), batch_size=small.batch_size):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(net(images[chosen]), labels[chosen])
        (loss + 0.1 * net.get_parameter("1.weight").abs().sum()).backward()
        optimizer.step()
        for name, mask in start.mask.items():
            net.get_parameter(name).data.mul_(mask)
    for name, weight in net.state_dict().items():
        torch.testing.assert_close(ours.weights()[name], weight, rtol=1e-4, atol=1e-5)


def test_a_net_without_batch_norm_is_refused_before_it_is_trained() -> None:
    with pytest.raises(UserError, match="regularization: Sequential has no batch norm with scales; use l1, l2 or none"):
        _ = recipe(regularization=batch_norm_l1).layers
