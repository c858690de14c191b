"""The loop of iterative magnitude pruning, and one pruning step."""

import itertools
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from small import COLOUR, DATA, conv_net, embedding_net, net, recipe, same
from torch import Tensor, nn

from lth import UserError, criterion, distribution, engine, rewind, structure
from lth.compress.compact import shrunk
from lth.data import normalized, rows
from lth.imp import batch, check, dense, first_images, imp, prune, stay, untrained
from lth.init import glorot_normal, signed_constant
from lth.schedule import iterative, one_shot
from lth.ticket import Ticket, Trained, remaining, total

RECIPE = recipe(model=net)


def doubled(tickets: list[Ticket]) -> list[Trained]:
    """A training that doubles every weight, in ten steps."""
    return [trained(t, {name: w * 2 for name, w in t.weights.items()}) for t in tickets]


def trained(ticket: Ticket, end: Mapping[str, Tensor]) -> Trained:
    return Trained(ticket, pd.DataFrame(), {ticket.step: ticket.weights, 10: end}.__getitem__, 10, ticket.mask)


def test_the_loop_trains_prunes_and_goes_on_until_the_ladder_ends() -> None:
    ladder = iterative(3)
    pruned: list[tuple[int, int]] = []

    def next_ticket(t: Trained, level: int) -> Ticket:
        pruned.append((t.ticket.level, level))
        return Ticket({}, {}, level=level)

    levels = [t.ticket.level for t in imp([Ticket({}, {})], doubled, next_ticket, ladder)]
    assert levels == [0, 1, 2, 3]
    assert pruned == [(0, 1), (1, 2), (2, 3)]


def test_one_shot_prunes_the_dense_net_to_every_level() -> None:
    pruned: list[tuple[int, int]] = []

    def next_ticket(t: Trained, level: int) -> Ticket:
        pruned.append((t.ticket.level, level))
        return Ticket({}, {}, level=level)

    levels = [t.ticket.level for t in imp([Ticket({}, {})], doubled, next_ticket, one_shot([3, 7]))]
    assert levels == [0, 3, 7]
    assert pruned == [(0, 3), (0, 7)]


def test_a_trained_ticket_is_yielded_before_the_next_is_trained() -> None:
    trainings: list[int] = []

    def counting(tickets: list[Ticket]) -> list[Trained]:
        trainings.append(tickets[0].level)
        return doubled(tickets)

    walk = imp([Ticket({}, {})], counting, lambda _, level: Ticket({}, {}, level=level), iterative(2))
    assert trainings == []
    next(walk)
    assert trainings == [0]
    next(walk)
    assert trainings == [0, 1]


def test_the_dense_ticket_keeps_everything_at_step_0_and_is_a_function_of_the_replicate() -> None:
    first, again, other = (dense(RECIPE, glorot_normal, replicate) for replicate in (1, 1, 2))
    assert (first.step, first.level, first.replicate, other.replicate) == (0, 0, 1, 2)
    assert remaining(first.mask) == total(first.mask) == 16 * 8 + 8 * 6 + 6 * 3
    assert same(first.weights, again.weights)
    assert not torch.equal(first.weights["1.weight"], other.weights["1.weight"])


@pytest.mark.parametrize(
    ("score", "init", "model"),
    [
        (criterion.large_init, signed_constant, net),
        (criterion.magnitude, signed_constant, net),
        (partial(criterion.inverted, of=criterion.magnitude), signed_constant, net),
        (criterion.batch_norm_scale, glorot_normal, conv_net),
    ],
)
def test_scores_that_are_all_the_same_choose_nothing(score: Any, init: Any, model: Any) -> None:
    job = recipe(model=model, data=DATA if model is net else COLOUR)
    start = untrained(dense(job, init))
    with pytest.raises(UserError, match=r"gives all weights of a layer the same score, so that it can't choose"):
        prune(start, 1, recipe=job, ladder=one_shot(1, linear=0.5, conv=0.5), criterion=score, rewind=stay)


def test_a_structure_of_ones_own_may_choose_without_scores() -> None:
    def halves(scores: Any, mask: Any, shares: Any, net: nn.Module, example: Tensor) -> dict[str, Tensor]:
        return {name: torch.arange(m.numel()).view(m.shape) % 2 == 0 for name, m in mask.items()}

    start = untrained(dense(RECIPE, signed_constant))
    ladder = one_shot(1, linear=0.5)
    ticket = prune(
        start, 1, recipe=RECIPE, ladder=ladder, criterion=criterion.large_init, structure=halves, rewind=stay
    )
    assert remaining(ticket.mask) == total(ticket.mask) / 2


def test_what_a_criterion_of_ours_can_not_score_is_said_before_anything_is_trained() -> None:
    def fails(layer: nn.Module, given: Any) -> None:
        raise RuntimeError("no such sum")

    def model(shape: Any, classes: int) -> nn.Module:
        made = net(shape, classes)
        made.register_forward_pre_hook(fails)
        return made

    def mine(*given: Any) -> dict[str, Tensor]:
        return criterion.snip(*given)

    job, start = recipe(model=model), dense(RECIPE, glorot_normal)
    for score in (criterion.snip, partial(criterion.inverted, of=partial(criterion.grasp, temperature=2.0))):
        with pytest.raises(UserError, match=r"criterion=(snip|grasp) can't score Sequential \(no such sum\)"):
            check(job, score, structure.weight, start)
    check(job, mine, structure.weight, start)  # one of the user's own may need a trained net


def test_theta_0_is_a_function_of_the_replicate_also_where_init_draws_nothing() -> None:
    settings = recipe(model=embedding_net)
    first, again, other = (dense(settings, glorot_normal, replicate).weights for replicate in (1, 1, 2))
    assert same(first, again)
    assert not torch.equal(first["extra"], other["extra"])


def test_an_untrained_ticket_has_0_where_it_is_pruned() -> None:
    start = {"weight": torch.tensor([[1.0, 2.0]])}
    done = untrained(Ticket(start, {"weight": torch.tensor([[True, False]])}, step=3))
    assert done.weights()["weight"].tolist() == [[1.0, 0.0]]
    assert start["weight"].tolist() == [[1.0, 2.0]]


def test_one_pruning_removes_the_smallest_trained_weights_and_keeps_w_0() -> None:
    start = dense(RECIPE, glorot_normal)
    end = {name: torch.arange(float(w.numel())).view_as(w) - 4 for name, w in start.weights.items()}
    child = prune(trained(start, end), 1, recipe=RECIPE, ladder=iterative(1))
    assert child.weights is start.weights
    assert (child.level, child.step, child.replicate, child.branch) == (1, 0, 1, "ticket")
    # round(0.8 * 128), round(0.8 * 48), round(0.9 * 18)
    assert {name: int(m.sum()) for name, m in child.mask.items()} == {"1.weight": 102, "3.weight": 38, "5.weight": 16}
    # |-4 ... 13|: 0 goes first, then of the two ones that at the lower index, which is -1
    assert (~child.mask["5.weight"]).flatten().nonzero().flatten().tolist() == [3, 4]


def test_iterative_and_one_shot_pruning_keep_equal_numbers_at_equal_levels() -> None:
    first = doubled([dense(RECIPE, glorot_normal)])[0]
    step_by_step = first
    for level in (1, 2, 3):
        ticket = prune(step_by_step, level, recipe=RECIPE, ladder=iterative(3))
        step_by_step = doubled([ticket])[0]
    at_once = prune(first, 3, recipe=RECIPE, ladder=one_shot(3))
    assert {n: int(m.sum()) for n, m in ticket.mask.items()} == {n: int(m.sum()) for n, m in at_once.mask.items()}
    # the trained weights are twice the initial ones at every level, so that the order of magnitudes never changes
    assert same(ticket.mask, at_once.mask)


def test_one_pruning_uses_the_given_criterion_distribution_and_rewinding() -> None:
    done = doubled([dense(RECIPE, glorot_normal)])[0]
    one = partial(prune, recipe=RECIPE, ladder=iterative(1))
    by_chance = one(done, 1, criterion=criterion.random, rewind=rewind.learning_rate)
    assert same(by_chance.weights, done.weights())
    assert not same(by_chance.mask, one(done, 1).mask)
    everywhere = one(done, 1, distribution=distribution.globally)
    assert remaining(everywhere.mask) == 102 + 38 + 16
    assert not same(everywhere.mask, one(done, 1).mask)


@pytest.mark.parametrize("order", [0, 1])
def test_the_batch_of_a_criterion_is_the_first_that_training_the_ticket_sees(order: int) -> None:
    ticket = replace(dense(RECIPE, glorot_normal, replicate=3), step=4, order=order)
    images, labels = batch(RECIPE, ticket)
    chosen = rows(ticket.noise, 0, 5, size=50, batch_size=10)[4]
    every_image, every_label = normalized(DATA, DATA.train)
    assert torch.equal(images, every_image[chosen])
    assert torch.equal(labels, every_label[chosen])


def test_the_net_of_a_criterion_has_the_trained_weights_that_are_left() -> None:
    seen = []

    def of_the_net(net: nn.Module, trained: Trained, batch: Any) -> dict[str, Tensor]:
        seen.append({name: w.clone() for name, w in net.state_dict().items()})
        return {name: net.get_parameter(name).detach().abs() for name in trained.mask}

    (start,) = doubled([dense(RECIPE, glorot_normal)])
    ladder = iterative(2)
    found = prune(start, 1, recipe=RECIPE, ladder=ladder, criterion=of_the_net)
    expected = prune(start, 1, recipe=RECIPE, ladder=ladder)  # by magnitude
    assert same(found.mask, expected.mask)
    assert same(seen[0], start.weights())


def test_what_functions_of_ones_own_draw_is_a_function_of_replicate_and_level() -> None:
    def random(net: nn.Module, trained: Trained, batch: Any) -> dict[str, Tensor]:
        return {name: torch.rand(m.shape) + np.random.rand(*m.shape) for name, m in trained.mask.items()}

    def orthogonal(net: nn.Module, seed: int) -> dict[str, Tensor]:
        return {n: nn.init.orthogonal_(w.clone()) if w.dim() > 1 else w for n, w in net.state_dict().items()}

    def mask(replicate: int, level: int) -> Tensor:
        (start,) = doubled([dense(RECIPE, glorot_normal, replicate)])
        ticket = prune(start, level, recipe=RECIPE, ladder=iterative(2), criterion=random)
        return torch.cat([m.flatten() for m in ticket.mask.values()])

    torch.manual_seed(1)
    first, before = mask(1, 1), dense(RECIPE, orthogonal, 1).weights
    torch.manual_seed(2)
    expected, state = torch.rand(1), np.random.get_state()[1].tolist()
    torch.manual_seed(2)
    assert torch.equal(mask(1, 1), first)
    assert same(dense(RECIPE, orthogonal, 1).weights, before)
    assert torch.equal(torch.rand(1), expected)  # and the generators go on as if nothing had been drawn
    assert np.random.get_state()[1].tolist() == state
    assert not torch.equal(mask(2, 1), first)
    assert not same(dense(RECIPE, orthogonal, 2).weights, before)


def test_the_images_of_ranges_are_the_first_of_the_replicate_wherever_its_ticket_begins() -> None:
    ticket = dense(RECIPE, glorot_normal, replicate=3)
    assert torch.equal(first_images(RECIPE, replace(ticket, step=4), 10), batch(RECIPE, ticket)[0])


def test_a_real_run_has_shrinking_masks_of_exact_counts_and_one_w_0() -> None:
    settings = recipe(model=conv_net)
    ladder = iterative(3)
    train = partial(engine.train, recipe=settings, device="cpu")
    runs = list(imp([dense(settings, glorot_normal)], train, partial(prune, recipe=settings, ladder=ladder), ladder))
    # conv 27 at 0.9 ** n, output 144 at 0.9 ** n, rounded
    counts = [{name: int(m.sum()) for name, m in t.ticket.mask.items()} for t in runs]
    assert [c["0.weight"] for c in counts] == [27, 24, 22, 20]
    assert [c["4.weight"] for c in counts] == [144, 130, 117, 105]
    for parent, child in itertools.pairwise(runs):
        assert child.ticket.weights is runs[0].ticket.weights
        for name, mask in child.ticket.mask.items():
            assert not (mask & ~parent.ticket.mask[name]).any()
            gone = parent.ticket.mask[name] & ~mask
            assert parent.weights()[name][gone].abs().max() <= parent.weights()[name][mask].abs().min()
            assert not child.weights()[name][~mask].any()


def test_a_real_run_of_neurons_gives_ever_smaller_nets_that_start_from_rows_and_columns_of_theta_0() -> None:
    ladder = iterative(2, linear=0.5, output=0.5)
    train = partial(engine.train, recipe=RECIPE, device="cpu")
    one = partial(prune, recipe=RECIPE, ladder=ladder, criterion=criterion.neuron_l2, structure=structure.neuron)
    first, *others = imp([dense(RECIPE, glorot_normal)], train, one, ladder)
    theta_0, before = first.ticket.weights, RECIPE.net()
    assert [tuple(first.ticket.mask[name].shape) for name in ("1.weight", "3.weight")] == [(8, 16), (6, 8)]
    for trained_one, widths in zip(others, [(4, 3), (2, 2)], strict=True):  # round(0.25 * 6) is 2
        mask = trained_one.ticket.mask
        rows, inner = mask["1.weight"].any(1), mask["3.weight"].any(1)
        assert (int(rows.sum()), int(inner.sum())) == widths
        small = shrunk(before, theta_0, mask, DATA.example(4))
        assert torch.equal(small.get_parameter("1.weight"), theta_0["1.weight"][rows])
        assert torch.equal(small.get_parameter("3.weight"), theta_0["3.weight"][inner][:, rows])
        assert remaining(mask) == sum(p.numel() for p in small.parameters() if p.ndim == 2)


@pytest.mark.parametrize(("rate", "levels"), [(0.5, []), (0.0, [1])])
def test_a_level_that_removes_nothing_is_told(rate: float, levels: list[int], caplog: pytest.LogCaptureFixture) -> None:
    """All that is to go falls on the units of the output layer, which stay."""
    settings, ladder = recipe(), iterative(1, linear=rate, output=0.5)
    start = untrained(dense(settings, glorot_normal))
    prune(start, 1, recipe=settings, ladder=ladder, structure=structure.neuron, rewind=stay)
    said = "level 1 removes nothing from level 0: the schedule asks for less than one weight or unit of each layer"
    assert [each.startswith(said) for each in caplog.messages] == [True] * len(levels)


def pruned(level: int = 1, **options: Any) -> Ticket:
    """A ticket of an untrained net."""
    return prune(untrained(dense(recipe(), glorot_normal)), level, recipe=recipe(), ladder=one_shot(2),
                 **{"rewind": stay, **options})  # fmt: skip


def test_what_functions_of_the_users_draw_depends_on_the_level_alone() -> None:
    drawn: list[float] = []

    def scores(net: nn.Module, done: Trained, batch: Any) -> Mapping[str, Tensor]:
        drawn.append(torch.rand(1).item())
        return criterion.magnitude(net, done, batch)

    for level in (1, 2, 1):
        pruned(level, criterion=scores)
    assert drawn[0] == drawn[2] != drawn[1]

    def noisy(done: Trained) -> tuple[dict[str, Tensor], int]:
        return {name: weight + torch.rand(weight.shape) for name, weight in done.ticket.weights.items()}, 0

    found = []
    for number in (1, 2):
        torch.manual_seed(number)
        found.append(pruned(rewind=noisy).weights)
    assert same(*found)


def test_scores_are_computed_without_subnormals_as_training_is() -> None:
    seen: list[float] = []

    def scores(net: nn.Module, done: Trained, batch: Any) -> Mapping[str, Tensor]:
        seen.append((torch.tensor([1e-30]) * torch.tensor([1e-10])).item())  # 1e-40
        return criterion.magnitude(net, done, batch)

    torch.set_flush_denormal(False)
    pruned(criterion=scores)
    assert seen == [0.0]


def test_a_criterion_that_writes_into_the_ticket_is_tried_on_a_copy() -> None:
    ticket = dense(recipe(), glorot_normal)

    def writes(net: nn.Module, done: Trained, batch: Any) -> Mapping[str, Tensor]:
        scores = criterion.magnitude(net, done, batch)
        for name in done.mask:
            done.ticket.weights[name].zero_()
        return scores

    check(recipe(), writes, structure.weight, ticket)
    assert all(ticket.weights[name].any() for name in ticket.mask)


@pytest.mark.parametrize("given", [structure.weight, structure.neuron, partial(structure.n_of_m, n=1, m=2)])
@pytest.mark.parametrize("change", [lambda s: s.t(), lambda s: s[:1], lambda s: s[:, :1], lambda s: s.flatten()])
def test_scores_of_another_shape_are_refused(given: Any, change: Any) -> None:
    def scores(net: nn.Module, done: Trained, batch: Any) -> Mapping[str, Tensor]:
        return {name: change(weight) for name, weight in criterion.magnitude(net, done, batch).items()}

    with pytest.raises(UserError, match=r"scores of 1\.weight have the shape .*, and its weights \(8, 16\)"):
        pruned(criterion=scores, structure=given)
