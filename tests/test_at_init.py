"""Pruning at initialization: several rounds of scoring without training, layer collapse, inverted scores."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from small import conv_net, recipe, same, trained
from torch import Tensor, nn

from lth import UserError, branch, criterion, distribution, init, job, rewind, structure
from lth.cli.config.compose import validated
from lth.engine import Callback
from lth.imp import batch, dense, prune, stay, untrained
from lth.job.levels import execute
from lth.job.masks import mask_key
from lth.recipe import Recipe
from lth.schedule import Ladder, exponential, iterative, one_shot
from lth.store import Store, table
from lth.ticket import Ticket, Trained, layers_kept, remaining

RECIPE = recipe()
DENSITY = 0.1
RATES = {"conv": 1 - DENSITY, "linear": 1 - DENSITY, "output": 1 - DENSITY}
Arrays = dict[str, NDArray[Any]]


def whole_numbers(net: nn.Module, seed: int) -> dict[str, Tensor]:
    """Gaussian weights, rounded, of which products and sums are exact: equal scores are equal in any order of sums."""
    weights = init.glorot_normal(net, seed)
    return {name: (20 * w).round() for name, w in weights.items()}


def at_init(start: Ticket, ladder: Ladder, score: Callable[..., Any], settings: Recipe = RECIPE) -> Ticket:
    """The ticket of level 1 that is pruned globally before anything is trained."""
    chosen = partial(prune, criterion=score, distribution=distribution.globally, rewind=stay)
    return chosen(untrained(start), 1, recipe=settings, ladder=ladder)


def plain_loop(score: Callable[[Arrays], Arrays], weights: Arrays, rounds: int) -> Arrays:
    """Score what is left, keep the highest of the whole net, in equal ratios; a few lines of numpy."""
    masks = {name: np.ones(w.shape, bool) for name, w in weights.items()}
    for step in range(1, rounds + 1):
        scores = score({name: w * masks[name] for name, w in weights.items()})
        flat = np.concatenate([np.where(masks[n], scores[n], -np.inf).ravel() for n in masks])
        left = sum(round(DENSITY ** (step / rounds) * m.size) for m in masks.values())
        kept = np.zeros(len(flat), bool)
        kept[np.argsort(flat, kind="stable")[len(flat) - left :]] = True
        parts = np.split(kept, np.cumsum([m.size for m in masks.values()])[:-1])
        masks = {name: part.reshape(masks[name].shape) for name, part in zip(masks, parts, strict=True)}
    return masks


def synaptic_flow(weights: Arrays) -> Arrays:
    """|w| times the flow of ones that reaches its input, times that from its output on (Tanaka et al. 2020, Eq. 2)."""
    sizes = [np.abs(w) for w in weights.values()]
    forward, backward = [np.ones(sizes[0].shape[1])], [np.ones(sizes[-1].shape[0])]
    for w in sizes[:-1]:
        forward.append(w @ forward[-1])
    for w in reversed(sizes[1:]):
        backward.insert(0, w.T @ backward[0])
    flows = zip(weights, sizes, forward, backward, strict=True)
    return {name: after[:, None] * w * before for name, w, before, after in flows}


def sensitivity(weights: Arrays, images: Tensor, labels: Tensor) -> Arrays:
    """|w dL/dw| of a net with ReLU and without biases, its gradients written out."""
    inputs, names = [images.flatten(1).numpy()], list(weights)
    for name in names:
        before = inputs[-1] @ weights[name].T
        inputs.append(before if name == names[-1] else np.maximum(before, 0))
    odds = np.exp(inputs.pop())
    slope = (odds / odds.sum(1, keepdims=True) - np.eye(odds.shape[1])[labels]) / len(labels)
    scores = {}
    for name, x in zip(reversed(names), reversed(inputs), strict=True):
        scores[name] = np.abs(weights[name] * (slope.T @ x))
        slope = (slope @ weights[name]) * (x > 0)
    return scores


def weights_of(ticket: Ticket) -> Arrays:
    return {name: ticket.weights[name].double().numpy() for name in ticket.mask}


def as_tensors(masks: Arrays) -> dict[str, Tensor]:
    return {name: torch.from_numpy(mask) for name, mask in masks.items()}


# ---- rounds


def test_rounds_keep_the_same_share_of_what_remains_each_time() -> None:
    ladder = one_shot([2], linear=0.75, output=0.0, rounds=4)
    assert ladder.between(0, 2, "linear") == pytest.approx([0.5, 0.25, 0.125, 0.0625])
    assert ladder.between(0, 2, "output") == [1.0] * 4
    assert one_shot(3).between(0, 3, "linear") == [one_shot(3).density(3, "linear")]
    steps = exponential([1, 3], density=0.125, rounds=3)  # 1/2 at level 1 and 1/8 at level 3
    assert replace(steps, rounds=2).between(1, 3, "conv") == pytest.approx([0.25, 0.125])
    assert replace(steps, rounds=2).between(1, 3, "conv")[-1] == 0.125


def test_no_round_at_all_is_refused() -> None:
    with pytest.raises(UserError, match=r"schedule\.rounds=0: weights are scored at least once"):
        one_shot(1, rounds=0)


@pytest.mark.long
@pytest.mark.parametrize("what", ["distribution=by_layer distribution.shares=[0.1,0.1,0.5]", "structure=n_of_m"])
def test_rounds_that_change_nothing_are_refused(what: str) -> None:
    own = ["schedule=one_shot", *what.split()]
    validated(own)
    with pytest.raises(UserError, match=f"schedule.rounds=3: with {what.split()[0]} the first round leaves what"):
        validated([*own, "schedule.rounds=3"])


def test_the_part_of_a_ladder_has_its_rounds() -> None:
    assert one_shot([1, 2], rounds=5).towards([2]).rounds == 5


def test_synflow_of_100_rounds_is_that_of_a_plain_loop() -> None:
    start = dense(RECIPE, whole_numbers)
    ticket = at_init(start, one_shot(1, **RATES, rounds=100), criterion.synflow)
    assert same(ticket.mask, as_tensors(plain_loop(synaptic_flow, weights_of(start), 100)))
    assert remaining(ticket.mask) == 13 + 5 + 2  # a tenth of 16 x 8, 8 x 6 and 6 x 3
    assert not same(ticket.mask, at_init(start, one_shot(1, **RATES), criterion.synflow).mask)


def test_snip_of_several_rounds_is_that_of_a_plain_loop() -> None:
    start = dense(RECIPE, init.glorot_normal)
    ticket = at_init(start, one_shot(1, **RATES, rounds=5), criterion.snip)
    score = partial(sensitivity, **dict(zip(("images", "labels"), batch(RECIPE, start), strict=True)))
    assert same(ticket.mask, as_tensors(plain_loop(score, weights_of(start), 5)))
    assert not same(ticket.mask, at_init(start, one_shot(1, **RATES), criterion.snip).mask)


def test_a_criterion_sees_the_weights_that_are_left_in_each_round() -> None:
    seen: list[list[int]] = []

    def counting(net: nn.Module, trained: Trained, batch: Any) -> dict[str, Tensor]:
        weights = trained.weights()
        assert all(torch.equal(weights[name] != 0, mask) for name, mask in trained.mask.items())
        seen.append([remaining(trained.mask), int(layers_kept(trained.ticket.mask))])
        return criterion.magnitude(net, trained, batch)

    at_init(dense(RECIPE, init.glorot_normal), one_shot(1, linear=0.75, output=0.75, rounds=2), counting)
    assert seen == [[194, 1], [97, 1]]


def job_of(**changes: Any) -> job.Job:
    usual = {"name": "early", "recipe": RECIPE, "init": init.glorot_normal, "criterion": criterion.synflow,
             "distribution": distribution.globally, "structure": structure.weight,
             "schedule": partial(one_shot, **RATES, rounds=10), "rewind": rewind.weights, "levels": 1,
             "train_from": 1, "device": "cpu"}  # fmt: skip
    return job.Job(**{**usual, **changes})


def asked(what: job.Job, root: Path) -> list[Ticket]:
    """The tickets that a job asks to be trained."""
    tickets: list[Ticket] = []
    execute(what, Store(root), lambda some, _: tickets.extend(some) or [], [1])  # type: ignore[func-returns-value]
    return tickets


def test_rounds_within_a_level_and_untrained_levels_give_one_mask_and_one_training(tmp_path: Path) -> None:
    (within,) = asked(job_of(), tmp_path)
    steps = partial(exponential, density=DENSITY, rounds=10)
    (stepwise,) = asked(job_of(schedule=steps, levels=10, train_from=10), tmp_path)
    assert same(within.mask, stepwise.mask)
    assert (within.level, stepwise.level) == (1, 10)
    assert not [file for file in tmp_path.rglob("*") if file.is_file()]


def test_a_callback_hears_of_each_of_several_rounds_of_scoring_and_of_no_single_one(tmp_path: Path) -> None:
    heard: list[tuple[str, int, int, int]] = []

    class Hears(Callback):
        def scored(self, ticket: Ticket, level: int, done: int, rounds: int) -> None:
            heard.append((str(ticket), level, done, rounds))

    for rounds in (1, 3):
        what = job_of(schedule=partial(one_shot, **RATES, rounds=rounds))
        job.run(what, Store(tmp_path), Hears(), lambda _: None)
    assert heard == [("ticket, replicate 1, level 0", 1, done, 3) for done in (0, 1, 2)]


def test_masks_and_trainings_of_other_rounds_are_told_apart() -> None:
    once, often = (job_of(schedule=partial(one_shot, **RATES, rounds=n), train_from=0) for n in (1, 3))
    assert mask_key(once, 1, 0) == mask_key(job_of(schedule=partial(one_shot, **RATES), train_from=0), 1, 0)
    assert mask_key(once, 1, 0) != mask_key(often, 1, 0)
    assert len({*job.trainings(once)} & {*job.trainings(often)}) == 1  # the dense net
    assert once.identity != often.identity


# ---- layer collapse


def two_layers(shape: Any, outputs: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 4, bias=False), nn.ReLU(), nn.Linear(4, outputs, bias=False))


def small_first(net: nn.Module, seed: int) -> dict[str, Tensor]:
    """Of the first layer all weights are smaller than any of the second."""
    first, second = (torch.arange(1.0, 1 + w.numel()).view_as(w) for w in net.parameters())
    return {"1.weight": first / 100, "3.weight": second}


def test_magnitude_empties_a_layer_of_small_weights_and_synflow_does_not(tmp_path: Path) -> None:
    """12 of 76 weights stay; the second layer has 12, all of them larger than those of the first."""
    kept = {"linear": 1 - 12 / 76, "output": 1 - 12 / 76}
    for score, rounds in ((criterion.magnitude, 1), (criterion.synflow, 10)):
        what = job_of(recipe=recipe(model=two_layers), init=small_first, criterion=score, name=score.__name__,
                      schedule=partial(one_shot, **kept, rounds=rounds))  # fmt: skip
        (done,) = job.run(what, Store(tmp_path), Callback(), lambda _: None)
        assert remaining(done.mask) == 12
        assert layers_kept(done.mask) == {"magnitude": 0.5, "synflow": 1.0}[score.__name__]
    rows = table.tickets(tmp_path).set_index("criterion")["layers_kept"]
    assert rows.to_dict() == {"magnitude": 0.5, "synflow": 1.0}
    collapsed = table.tickets(tmp_path, "magnitude")
    assert collapsed["final_test_accuracy"].tolist() == [1 / 3]  # of three classes


# ---- inverted scores

CHECKS = {"invert": job.Branch(branch.invert), "shuffle": job.Branch(branch.shuffle)}


def test_an_inverted_mask_keeps_what_scores_least_by_hand() -> None:
    weights = {"1.weight": torch.tensor([[1.0, -4.0, 3.0, -2.0]])}
    done = trained(weights, weights)
    ticket = replace(done.ticket, mask={"1.weight": torch.tensor([[False, True, True, False]])}, level=1)
    after = Trained(ticket, done.evaluations, done.at, done.steps, ticket.mask)

    def inverse(parent: Trained, level: int) -> Ticket:
        assert (parent, level) == (done, 1)
        scores = criterion.inverted(nn.Identity(), parent, (), of=criterion.magnitude)  # type: ignore[arg-type]
        return replace(ticket, mask=structure.weight(scores, parent.mask, {"1.weight": 0.5}, nn.Identity(), weights[
            "1.weight"]))  # fmt: skip

    settings, made = branch.invert(after, draw=0, recipe=RECIPE, init=init.glorot_normal, line=[done, after],
                                   inverse=inverse)  # fmt: skip
    assert settings is RECIPE
    assert made.mask["1.weight"].tolist() == [[True, False, False, True]]
    assert made.weights is weights


@pytest.mark.parametrize("train_from", [0, 1])
def test_an_inverted_branch_is_the_ticket_of_the_inverted_criterion(train_from: int, tmp_path: Path) -> None:
    """Half of each layer stays, so that its mask and that of the criterion share no weight; both start from W_0."""
    half = {"train_from": train_from, "distribution": distribution.by_kind, "criterion": criterion.magnitude,
            "schedule": partial(one_shot, conv=0.5, linear=0.5, output=0.5)}  # fmt: skip
    done = job.run(job_of(branches=CHECKS, **half), Store(tmp_path), Callback(), lambda _: None)
    found = {t.ticket.branch: t for t in done if t.ticket.level == 1}
    assert same(found["invert"].ticket.mask, {name: ~m for name, m in found["ticket"].ticket.mask.items()})
    assert same(found["invert"].ticket.weights, found["ticket"].ticket.weights)
    opposite = job_of(**{**half, "criterion": partial(criterion.inverted, of=criterion.magnitude)})
    assert [t.facts["digest"] for t in job.stored(opposite, Store(tmp_path))][-1] == found["invert"].facts["digest"]
    again = job.stored(job_of(branches=CHECKS, **half), Store(tmp_path))
    assert {t.facts["digest"] for t in again} == {t.facts["digest"] for t in done}


def test_rounds_of_an_inverted_criterion_remove_the_most_important_each_time() -> None:
    settings = recipe(model=conv_net)
    start = dense(settings, init.glorot_normal)
    score = partial(criterion.inverted, of=criterion.magnitude)
    least = at_init(start, one_shot(1, conv=0.5, output=0.5, rounds=3), score, settings)
    sizes = torch.cat([start.weights[name].abs()[m] for name, m in least.mask.items()])
    gone = torch.cat([start.weights[name].abs()[~m] for name, m in least.mask.items()])
    assert sizes.max() <= gone.min()


def test_a_mask_that_is_pruned_from_a_pruned_one_has_no_opposite() -> None:
    """Of 1 to 10, pruned to 8 and then to 6, the opposite scores would leave 3 to 8, and not 1 to 6."""
    checks, ladder = {"invert": job.Branch(branch.invert)}, {"train_from": 0, "schedule": iterative, "levels": 2}
    with pytest.raises(UserError, match=r"level 2 is pruned from level 1, .*, branch\.invert\.levels=\[1\]"):
        job_of(branches=checks, **ladder)
    job_of(branches={"invert": job.Branch(branch.invert, levels=[1])}, **ladder)


def test_the_dense_net_has_no_mask_to_invert() -> None:
    with pytest.raises(UserError, match=r"branch\.invert\.levels=\[0, 1\]: level 0 is not pruned"):
        job_of(branches={"invert": job.Branch(branch.invert, levels=[0, 1])}, train_from=0)
