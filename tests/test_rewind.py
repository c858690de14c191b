"""Trained -> (weights, step)."""

from functools import partial

import pandas as pd
import pytest
import torch
from small import adam, conv_net, copied, half_pruned, recipe, same, sgd

from lth import engine, rewind
from lth.density import iterative
from lth.imp import dense, prune
from lth.init import glorot_normal
from lth.recipe import Recipe
from lth.ticket import Ticket, Trained, masked

NET = recipe(model=conv_net)


def train(ticket: Ticket, recipe: Recipe = NET, **options: object) -> Trained:
    return engine.train([ticket], recipe=recipe, device="cpu", **options)[0]  # type: ignore[arg-type]


def example() -> Trained:
    """Three moments of a training of 10 steps, of a ticket that starts at step 2."""
    moments = {k: {"weight": torch.full((2,), float(k))} for k in (2, 6, 10)}
    ticket = Ticket(moments[2], {"weight": torch.tensor([True, False])}, step=2)
    return Trained(ticket, pd.DataFrame(), moments.__getitem__, steps=10)


def test_rewinding_to_where_the_ticket_started_is_the_absence_of_an_operation() -> None:
    done = example()
    weights, step = rewind.weights(done, step=2)
    assert weights is done.ticket.weights
    assert step == 2


def test_rewinding_to_a_later_step_takes_the_weights_and_the_step_from_there() -> None:
    weights, step = rewind.weights(example(), step=6)
    assert (weights["weight"].tolist(), step) == ([6.0, 6.0], 6)


@pytest.mark.parametrize("k", [0, 6])
def test_learning_rate_rewinding_keeps_the_trained_weights_and_only_the_step_goes_back(k: int) -> None:
    weights, step = rewind.learning_rate(example(), step=k)
    assert (weights["weight"].tolist(), step) == ([10.0, 10.0], k)


@pytest.mark.parametrize("how", [rewind.weights, rewind.learning_rate])
@pytest.mark.parametrize("k", [-1, 10, 11])
def test_a_step_outside_the_training_is_an_error_that_names_the_range(how: object, k: int) -> None:
    with pytest.raises(ValueError, match=f"rewind.step={k}: training has 10 steps, rewind to one of 0 to 9"):
        how(example(), step=k)  # type: ignore[operator]


def test_training_can_not_reach_a_stored_w_0_over_three_levels() -> None:
    ticket = dense(NET, glorot_normal)
    first = copied(ticket.weights)
    for level in (1, 2, 3):
        ticket = prune(train(ticket), level, recipe=NET, ladder=iterative(3))
        assert same(ticket.weights, first)
        assert ticket.step == 0


def test_training_a_ticket_changes_neither_its_weights_nor_its_mask() -> None:
    ticket = half_pruned(NET)
    weights, mask = copied(ticket.weights), copied(ticket.mask)
    done = train(ticket)
    assert same(ticket.weights, weights)
    assert same(ticket.mask, mask)
    assert not torch.equal(done.weights["4.weight"], weights["4.weight"])


def test_training_a_rewound_ticket_does_not_reach_the_w_k_that_its_parent_keeps() -> None:
    parent = train(dense(NET, glorot_normal), keep=[5])
    kept, end = copied(parent.at(5)), copied(parent.weights)
    rewound = prune(parent, 1, recipe=NET, ladder=iterative(1), rewind=partial(rewind.weights, step=5))
    train(rewound)
    assert same(parent.at(5), kept)
    assert same(rewound.weights, kept)
    assert same(parent.weights, end)


def test_batch_norm_is_rewound_together_with_the_weights() -> None:
    start = dense(NET, glorot_normal)
    parent = train(start, keep=[5])
    counts = {step: int(parent.at(step)["1.num_batches_tracked"]) for step in (0, 5, 20)}
    assert counts == {0: 0, 5: 5, 20: 20}
    names = ["1.weight", "1.bias", "1.running_mean", "1.running_var", "1.num_batches_tracked"]
    for k, moment in ((0, start.weights), (5, parent.at(5))):
        child = prune(parent, 1, recipe=NET, ladder=iterative(1), rewind=partial(rewind.weights, step=k))
        assert all(torch.equal(child.weights[name], moment[name]) for name in names)
        assert not torch.equal(child.weights["1.running_mean"], parent.weights["1.running_mean"])
        assert int(train(child).weights["1.num_batches_tracked"]) == 20


def test_plain_sgd_from_w_k_at_step_k_ends_where_the_undisturbed_training_ended() -> None:
    settings = recipe(model=conv_net, lr=drop_and_warm_up, evaluate_every=4)
    whole = train(dense(settings, glorot_normal), settings, keep=[7])
    weights, step = rewind.weights(whole, step=7)
    rest = train(Ticket(weights, whole.ticket.mask, step=step), settings)
    assert same(rest.weights, whole.weights)
    assert rest.evaluations["step"].tolist() == [7, 8, 12, 16, 20]
    later = whole.evaluations["step"] > 8
    columns = ["step", "train_loss", "validation_loss", "validation_accuracy", "test_loss", "test_accuracy"]
    pd.testing.assert_frame_equal(
        rest.evaluations[2:][columns].reset_index(drop=True),
        whole.evaluations[later][columns].reset_index(drop=True),
        check_exact=True,
    )


def drop_and_warm_up(step: int) -> float:
    return min(1.0, step / 10) * (0.1 if step >= 13 else 1.0)


def test_learning_rate_rewinding_goes_on_from_w_t_with_the_batches_and_the_schedule_of_k() -> None:
    settings = recipe(model=conv_net, optimizer=sgd, lr=drop_and_warm_up)
    parent = train(dense(settings, glorot_normal), settings)
    child = prune(parent, 1, recipe=settings, ladder=iterative(1), rewind=partial(rewind.learning_rate, step=8))
    assert same(child.weights, parent.weights)
    assert child.step == 8
    by_hand = Ticket(masked(parent.weights, child.mask), child.mask, step=8)
    done = train(child, settings)
    assert same(done.weights, train(by_hand, settings).weights)
    assert int(done.weights["1.num_batches_tracked"]) == 20 + 12


def test_weights_that_were_not_kept_are_trained_anew_to_the_same_bits() -> None:
    settings = recipe(model=conv_net, optimizer=adam)
    ticket = half_pruned(settings)
    kept, not_kept = train(ticket, settings, keep=[6]), train(ticket, settings)
    assert kept.facts["kept"] == [6, 20]
    assert not_kept.facts["kept"] == [20]
    assert same(kept.at(6), not_kept.at(6))


def test_weights_from_before_the_start_of_a_ticket_are_an_error() -> None:
    done = train(half_pruned(NET, step=5))
    with pytest.raises(ValueError, match="starts at step 5"):
        done.at(3)


def test_step_0_of_a_ticket_that_starts_later_is_an_error_too() -> None:
    settings = recipe(steps=3)
    done = train(half_pruned(settings, step=2), settings)
    with pytest.raises(ValueError, match="starts at step 2"):
        done.at(0)
