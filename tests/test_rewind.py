"""Rewinding: Trained -> (weights, step)."""

import itertools
from dataclasses import replace
from functools import partial

import pandas as pd
import pytest
import torch
from small import COLOUR, adam, conv_net, copied, half_pruned, momentum, net, recipe, same, sgd, trained

from lth import UserError, engine, lr, rewind
from lth.augment import flip_crop
from lth.distribution import globally
from lth.imp import dense, imp, prune
from lth.init import glorot_normal
from lth.model import resnet_20
from lth.recipe import Recipe
from lth.schedule import iterative
from lth.ticket import Ticket, Trained, masked

NET = recipe(model=conv_net)
adam_alone = partial(torch.optim.Adam, lr=0.01)


def train(ticket: Ticket, recipe: Recipe = NET, **options: object) -> Trained:
    return engine.train([ticket], recipe=recipe, device="cpu", **options)[0]  # type: ignore[arg-type]


def example() -> Trained:
    """Three moments of a training of 10 steps, of a ticket that starts at step 2, 0 where it is pruned."""
    moments = {k: {"weight": torch.full((2,), float(k))} for k in (2, 6, 10)}
    ticket = Ticket(moments[2], {"weight": torch.tensor([True, False])}, step=2)
    return Trained(ticket, pd.DataFrame(), lambda step: masked(moments[step], ticket.mask), 10, ticket.mask)


def test_rewinding_to_the_start_of_the_ticket_changes_nothing_also_where_it_is_pruned() -> None:
    done = example()
    weights, step = rewind.weights(done, step=2)
    assert weights is done.ticket.weights
    assert step == 2


def test_rewinding_to_a_later_step_takes_the_weights_and_the_step_from_there() -> None:
    weights, step = rewind.weights(example(), step=6)
    assert (weights["weight"].tolist(), step) == ([6.0, 0.0], 6)


@pytest.mark.parametrize("k", [0, 6])
def test_learning_rate_rewinding_keeps_the_trained_weights_and_only_the_step_goes_back(k: int) -> None:
    weights, step = rewind.learning_rate(example(), step=k)
    assert (weights["weight"].tolist(), step) == ([10.0, 0.0], k)


@pytest.mark.parametrize("how", [rewind.weights, rewind.learning_rate])
@pytest.mark.parametrize("k", [-1, 10, 11])
def test_a_step_outside_the_training_is_an_error_that_names_the_range(how: object, k: int) -> None:
    with pytest.raises(ValueError, match=f"rewind.step={k}: the training has 10 steps, rewind to one of 0 to 9"):
        how(example(), step=k)  # type: ignore[operator]


def test_training_does_not_modify_w_0_over_three_levels() -> None:
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
    assert not torch.equal(done.weights()["4.weight"], weights["4.weight"])


def test_training_a_rewound_ticket_does_not_modify_the_w_k_of_its_parent() -> None:
    parent = train(dense(NET, glorot_normal), keep=[5])
    kept, end = copied(parent.at(5)), copied(parent.weights())
    rewound = prune(parent, 1, recipe=NET, ladder=iterative(1), rewind=partial(rewind.weights, step=5))
    train(rewound)
    assert same(parent.at(5), kept)
    assert same(rewound.weights, kept)
    assert same(parent.weights(), end)


def test_batch_norm_is_rewound_together_with_the_weights() -> None:
    start = dense(NET, glorot_normal)
    parent = train(start, keep=[5])
    counts = {step: int(parent.at(step)["1.num_batches_tracked"]) for step in (0, 5, 20)}
    assert counts == {0: 0, 5: 5, 20: 20}
    names = ["1.weight", "1.bias", "1.running_mean", "1.running_var", "1.num_batches_tracked"]
    for k, moment in ((0, start.weights), (5, parent.at(5))):
        child = prune(parent, 1, recipe=NET, ladder=iterative(1), rewind=partial(rewind.weights, step=k))
        assert all(torch.equal(child.weights[name], moment[name]) for name in names)
        assert not torch.equal(child.weights["1.running_mean"], parent.weights()["1.running_mean"])
        assert int(train(child).weights()["1.num_batches_tracked"]) == 20


@pytest.mark.parametrize("k", [pytest.param(0, marks=pytest.mark.long), 2])
def test_everything_in_the_state_of_a_resnet_is_rewound_shortcuts_and_their_norms_included(k: int) -> None:
    settings = recipe(
        model=resnet_20, data=COLOUR, steps=4, optimizer=momentum, augment=flip_crop, precision="bf16", evaluate_every=2
    )
    parent = train(dense(settings, glorot_normal), settings, keep=[2])
    child = prune(
        parent,
        1,
        recipe=settings,
        ladder=iterative(1, conv=0.2, output=0.0),
        distribution=globally,
        rewind=partial(rewind.weights, step=k),
    )
    assert (child.level, child.step) == (1, k)
    assert same(child.weights, parent.at(k))
    norms = [name for name in child.weights if name.endswith(("running_mean", "running_var", "num_batches_tracked"))]
    # a norm for each of 19 convolutions and 2 shortcuts
    assert len(norms) == 3 * 21
    assert all(not torch.equal(child.weights[name], parent.weights()[name]) for name in norms)
    assert {int(child.weights[name]) for name in norms if name.endswith("tracked")} == {k}
    after = train(child, settings).weights()
    assert {int(after[name]) for name in norms if name.endswith("tracked")} == {4}


def test_the_warm_up_is_counted_from_step_0_also_by_a_ticket_that_starts_later() -> None:
    # one step of plain SGD from the same weights on the same batch: the way is as long as the factor is large
    ends = {}
    for start in (3, 6, 8):
        for warmup in (0, 12):
            settings = recipe(model=net, lr=partial(lr.constant, warmup=warmup))
            ticket = half_pruned(settings, step=start)
            end = train(ticket, settings, until=start + 1).weights()
            way = {name: end[name] - w for name, w in masked(ticket.weights, ticket.mask).items()}
            ends[start, warmup] = torch.cat([w.flatten() for w in way.values()])
        torch.testing.assert_close(ends[start, 12], start / 12 * ends[start, 0], rtol=1e-3, atol=1e-6)
        assert ends[start, 0].abs().max() > 1e-3


def walk(how: object, settings: Recipe) -> list[Trained]:
    """Levels 0 to 3 of iterative pruning at a constant rate."""
    ladder = iterative(3)
    return list(
        imp(
            [dense(settings, glorot_normal)],
            partial(engine.train, recipe=settings, device="cpu"),
            partial(prune, recipe=settings, ladder=ladder, rewind=how),
            ladder,
        )
    )


@pytest.mark.long
def test_resetting_every_round_goes_back_to_w_0_and_continued_training_keeps_w_t() -> None:
    settings = recipe(model=conv_net, optimizer=momentum)
    resets, continued = (walk(how, settings) for how in (rewind.weights, rewind.learning_rate))
    w_0 = dense(settings, glorot_normal).weights
    assert [t.ticket.step for t in resets + continued] == [0] * 8
    assert all(same(t.ticket.weights, w_0) for t in resets)
    for before, after in itertools.pairwise(continued):
        assert same(after.ticket.weights, before.weights())
        assert not torch.equal(after.ticket.weights["4.weight"], w_0["4.weight"])
    # both train the same dense net, and so prune the same weights of it
    assert same(resets[0].weights(), continued[0].weights())
    assert same(resets[1].ticket.mask, continued[1].ticket.mask)
    assert not same(resets[1].weights(), continued[1].weights())


@pytest.mark.long
def test_continued_training_trains_on_for_as_long_as_there_are_levels() -> None:
    settings = recipe(model=conv_net, optimizer=momentum)
    counts = {
        how: [int(t.weights()["1.num_batches_tracked"]) for t in walk(how, settings)]
        for how in (rewind.weights, rewind.learning_rate)
    }
    assert counts == {rewind.weights: [20, 20, 20, 20], rewind.learning_rate: [20, 40, 60, 80]}


def test_plain_sgd_from_w_k_at_step_k_ends_where_the_uninterrupted_training_ended() -> None:
    settings = recipe(model=conv_net, lr=drop_and_warm_up, evaluate_every=4)
    whole = train(dense(settings, glorot_normal), settings, keep=[7])
    weights, step = rewind.weights(whole, step=7)
    rest = train(Ticket(weights, whole.ticket.mask, step=step), settings)
    assert same(rest.weights(), whole.weights())
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
    assert same(child.weights, parent.weights())
    assert child.step == 8
    by_hand = Ticket(masked(parent.weights(), child.mask), child.mask, step=8)
    done = train(child, settings)
    assert same(done.weights(), train(by_hand, settings).weights())
    assert int(done.weights()["1.num_batches_tracked"]) == 20 + 12


def test_after_learning_rate_rewinding_the_optimizer_is_new_and_the_warm_up_begins_again() -> None:
    """The first step of a new Adam moves every weight that has a gradient by the rate: its two moments cancel. With a
    warm-up from 0 over 4 steps the first step moves nothing, and the second by a quarter of the rate: the gradient is
    the same, or nearly so, as the first one counts for both moments too.
    """
    parent = train(dense(NET, glorot_normal), recipe(model=conv_net, optimizer=adam_alone))
    child = prune(parent, 1, recipe=NET, ladder=iterative(1), rewind=rewind.learning_rate)
    start = masked(child.weights, child.mask)
    for warmup, until, way in ((0, 1, 0.01), (4, 1, 0.0), (4, 2, 0.0025)):
        settings = recipe(model=conv_net, optimizer=adam_alone, lr=partial(lr.constant, warmup=warmup))
        end = train(child, settings, until=until).weights()
        moved = (end["4.weight"] - start["4.weight"])[child.mask["4.weight"]].abs()
        assert float(moved.max()) == pytest.approx(way, rel=0.01)


def test_dropped_weights_are_retrained_to_the_same_bits() -> None:
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


def test_fine_tuning_keeps_the_trained_weights_and_trains_the_last_steps_of_the_schedule_again() -> None:
    settings = recipe(lr=partial(lr.drop, at=[15], factor=0.1))
    parent = engine.train([half_pruned(settings)], recipe=settings)[0]
    weights, step = rewind.fine_tune(parent, steps=5)
    assert same(weights, parent.weights())
    assert step == 15  # from here on the rate is a tenth


def test_fine_tuning_for_no_steps_leaves_the_pruned_net_as_it_is() -> None:
    settings = recipe()
    parent = engine.train([half_pruned(settings)], recipe=settings)[0]
    ladder = iterative(9)
    child = prune(parent, 9, recipe=settings, ladder=ladder, rewind=partial(rewind.fine_tune, steps=0))
    tuned = engine.train([child], recipe=settings)[0]
    assert same(tuned.weights(), masked(parent.weights(), child.mask))


def test_fine_tuning_at_the_last_rate_goes_on_after_the_end_however_often_a_net_is_pruned() -> None:
    settings = recipe(lr=partial(lr.drop, at=[15], factor=0.1))  # 20 steps
    longer = settings.at_last_rate(30)
    assert longer.steps == 50
    assert [longer.lr(step) for step in (20, 49)] == [0.1, 0.1]
    parent = engine.train([half_pruned(settings)], recipe=settings)[0]
    weights, step = rewind.fine_tune(parent, steps=30, rate="last")
    assert same(weights, parent.weights())
    assert step == 20
    child = engine.train([replace(parent.ticket, weights=weights, step=step, level=1)], recipe=longer)[0]
    assert child.evaluations["step"].iloc[-1] == 50
    assert rewind.fine_tune(child, steps=30, rate="last")[1] == 20
    assert same(rewind.fine_tune(child, steps=30, rate="last")[0], child.weights())


@pytest.mark.parametrize("steps", [-1, 21])
def test_fine_tuning_for_more_steps_than_there_are_is_an_error(steps: int) -> None:
    settings = recipe()
    parent = engine.train([half_pruned(settings)], recipe=settings)[0]
    with pytest.raises(ValueError, match=f"rewind.steps={steps}: the training has 20 steps"):
        rewind.fine_tune(parent, steps=steps)


def test_all_steps_can_be_repeated_and_no_more() -> None:
    done = trained({"weight": torch.zeros(1, 1)}, {"weight": torch.ones(1, 1)})  # 10 steps
    weights, step = rewind.fine_tune(done, steps=10)
    assert (weights["weight"].item(), step) == (1, 0)
    with pytest.raises(UserError, match="11"):
        rewind.fine_tune(done, steps=11)


def test_trained_weights_are_given_anew_at_every_call() -> None:
    ticket = half_pruned(recipe())
    (done,) = engine.train([ticket], recipe=recipe())
    before = copied(done.weights())
    for weight in done.weights().values():
        weight.zero_()
    assert same(done.weights(), before)
