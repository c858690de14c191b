"""Learned supermasks: draws, gradients and rescaling by hand, frozen weights, the means over draws, and resuming."""

import math
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from small import Stop, adam, recipe, same
from torch import nn

from lth import UserError, branch, criterion, distribution, init, job, rewind, schedule, structure
from lth.analysis.full import marked
from lth.data import normalized, rows
from lth.engine import Callback, Interrupted, train, widest
from lth.imp import dense, untrained
from lth.recipe import Recipe
from lth.seed import seed, uniform
from lth.store import Store, table
from lth.supermask import bernoulli_model, sampled
from lth.task import CLASSIFICATION
from lth.ticket import Ticket, Trained

WORD = 2**32


def two_weights(shape: Any, outputs: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(2, outputs, bias=False))


def mixed(x: int) -> int:
    x = (x ^ (x >> 16)) * 0x7FEB352D % WORD
    x = (x ^ (x >> 15)) * 0x846CA68B % WORD
    return x ^ (x >> 16)


def number(key: int, step: int, place: int) -> float:
    """`uniform` with whole numbers."""
    bits = mixed((place * 0x9E3779B1 + mixed((mixed(key % WORD) + step) % WORD)) % WORD)
    return (bits >> 8) / 2**24 + (0.5 if bits < WORD / 2 else -0.5)


@pytest.mark.parametrize(("key", "step"), [(0, 0), (2**63 - 1, 440_000), (seed("a"), -10), (5, 2**40)])
def test_uniform_numbers_are_the_hash_of_key_step_and_place(key: int, step: int) -> None:
    drawn = uniform(torch.tensor(key), torch.tensor(step), torch.zeros(2, 5))
    assert drawn.flatten().tolist() == [number(key, step, place) for place in range(10)]


def test_uniform_numbers_are_uniform_and_of_different_places_and_steps_unrelated() -> None:
    drawn = torch.stack([uniform(torch.tensor(7), torch.tensor(step), torch.zeros(400)) for step in range(400)])
    assert drawn.min() >= 0
    assert drawn.max() < 1
    assert abs(drawn.mean() - 0.5) < 4 * (1 / 12) ** 0.5 / 400
    assert abs(drawn.var() - 1 / 12) < 4 * (1 / 180) ** 0.5 / 400
    for numbers in (drawn, drawn.T):
        correlations = torch.corrcoef(numbers).fill_diagonal_(0)
        assert correlations.abs().max() < 6 / 400**0.5  # of 79,800 pairs, each of deviation 1 / 20


def layer_of(rescaled: bool) -> Any:
    """Two weights, 2 and -3, of probability 3 / 4 and 1 / 5, and a step at which both are drawn."""
    net: Any = bernoulli_model((2,), 1, model=two_weights, layers=["1.weight"], rescaled=rescaled)
    layer = net[1]
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[2.0, -3.0]]))
        layer.scores.copy_(torch.tensor([[math.log(3), -math.log(4)]]))
    return layer


def step_of(drawn: tuple[bool, bool]) -> int:
    """A step at which these of the two weights take part."""
    return next(s for s in range(1000) if (number(0, s, 0) < 0.75, number(0, s, 1) < 0.2) == drawn)


def test_a_step_computes_with_the_drawn_weights_and_gives_gradients_through_draw_and_sigmoid() -> None:
    layer = layer_of(rescaled=False)
    layer.step.fill_(at := step_of((True, False)))
    out = layer(torch.tensor([[5.0, 7.0]]))
    assert out.item() == 10.0  # 2 x 5
    out.backward()
    # d(w b x) / dm = w x p (1 - p), for weights that were not drawn too: 2 x 5 x 3/16 and -3 x 7 x 4/25
    torch.testing.assert_close(layer.scores.grad, torch.tensor([[1.875, -3.36]]))
    assert layer.weight.grad is None
    assert int(layer.step) == at + 1


def test_dynamic_weight_rescaling_is_by_size_over_ones_and_has_a_gradient_too() -> None:
    layer = layer_of(rescaled=True)
    x = torch.tensor([[5.0, 7.0]])
    layer.step.fill_(step_of((True, True)))
    assert layer(x).item() == pytest.approx(10 - 21)  # two of two: factor 1
    layer.step.fill_(step_of((False, False)))
    assert layer(x).item() == 0.0  # none of two
    layer.step.fill_(step_of((True, False)))
    out = layer(x)
    assert out.item() == pytest.approx(20)  # one of two: factor 2
    out.backward()
    # f = 2 (10 b1 - 21 b2) / (b1 + b2) at b = (1, 0): df/db1 = 2 x (10 - 10) = 0 and df/db2 = 2 x (-21 - 10) = -62
    torch.testing.assert_close(layer.scores.grad, torch.tensor([[0.0, -62 * 4 / 25]]), atol=1e-5, rtol=1e-5)


def test_evaluation_draws_the_mask_of_the_step_and_does_not_count() -> None:
    layer = layer_of(rescaled=False).eval()
    x = torch.tensor([[5.0, 7.0]])
    layer.step.fill_(step_of((True, True)))
    assert [layer(x).item(), layer(x).item()] == [-11.0, -11.0]
    frequencies = torch.zeros(2)
    for step in range(500):
        layer.step.fill_(step)
        frequencies += layer(torch.eye(2)).flatten() / torch.tensor([2.0, -3.0])
    torch.testing.assert_close(frequencies / 500, torch.tensor([0.75, 0.2]), atol=0.08, rtol=0)


def learned(settings: Recipe, draw: int = 0, replicate: int = 1, **options: Any) -> tuple[Recipe, Ticket]:
    start = untrained(dense(settings, init.glorot_normal, replicate))
    usual: dict[str, Any] = {"steps": 12, "batch_size": 10, "rate": 5.0}
    return branch.learned_supermask(start, draw=draw, recipe=settings, init=init.glorot_normal, line=[start],
                                    **{**usual, **options})  # fmt: skip


def done_by(new: Recipe, ticket: Ticket, **options: Any) -> Trained:
    (done,) = train([ticket], recipe=new, device="cpu", **options)
    return done


def test_scores_start_at_0_and_learn_as_in_an_independent_loop() -> None:
    settings = recipe(optimizer=adam)
    new, ticket = learned(settings, replicate=3)
    names = [name for name in ticket.weights if "scores" in name]
    assert all(not ticket.weights[name].any() for name in names)
    x, y = normalized(settings.data, settings.data.train)
    order = rows(3, 0, 12, size=len(y), batch_size=10)
    scores = {name: torch.zeros_like(ticket.weights[name], requires_grad=True) for name in names}
    optimizer = torch.optim.SGD(scores.values(), lr=5.0, momentum=0.9)
    for step in range(12):
        hidden = x[order[step]].flatten(1)
        for name in names:
            path = name.removesuffix("scores")
            chance = 1 / (1 + (-scores[name]).exp())
            key = seed("learned_supermask", 3, 0, f"{path}weight")
            drawn = torch.tensor([number(key, step, i) for i in range(chance.numel())]).view_as(chance) < chance
            hidden = hidden @ (ticket.weights[f"{path}weight"] * (drawn + chance - chance.detach())).T
            hidden = hidden if name == names[-1] else hidden.relu()
        optimizer.zero_grad()
        nn.functional.cross_entropy(hidden, y[order[step]]).backward()
        optimizer.step()
    end = done_by(new, ticket).weights()
    for name in names:
        torch.testing.assert_close(end[name], scores[name].detach(), rtol=1e-4, atol=1e-5)
        assert end[name].any()


@pytest.mark.parametrize("rescaled", [False, True])
def test_weights_stay_theta_0_or_its_signed_constant_and_all_take_part(rescaled: bool) -> None:
    settings = recipe()
    start = dense(settings, init.glorot_normal)
    for constant in (False, True):  # evaluated as often as the ticket, whose 20 steps are by 4
        new, ticket = learned(settings, constant=constant, rescaled=rescaled)
        done = done_by(new, ticket)
        end = done.weights()
        for name, mask in done.mask.items():
            assert mask.all()
            value = start.weights[name].std(correction=0) * start.weights[name].sign()
            torch.testing.assert_close(end[name], value if constant else start.weights[name], atol=1e-7, rtol=1e-6)
        assert list(done.evaluations["step"]) == [0, 2, 4, 6, 8, 10, 12]


def test_draws_and_replicates_have_masks_of_their_own_and_levels_share_one_training() -> None:
    settings = recipe()
    made = [learned(settings, *which)[1].weights for which in ((0, 1), (1, 1), (0, 2), (0, 1))]
    keys = [{int(w) for name, w in weights.items() if "key" in name} for weights in made]
    assert keys[0] == keys[3]
    assert len(keys[0] | keys[1] | keys[2]) == 9
    assert same(made[0], made[3])


@pytest.mark.parametrize("at", [1, 7])
def test_an_interrupted_training_resumes_bit_for_bit(at: int) -> None:
    states = list[Any]()
    new, ticket = learned(recipe(), rescaled=True)
    whole = done_by(new, ticket, keep=[9])
    with pytest.raises(Interrupted):
        done_by(new, ticket, callback=Stop(at), save=lambda _, state: states.append(state))
    resumed = done_by(new, ticket, keep=[9], states={ticket: states[-1]})
    assert same(resumed.weights(), whole.weights())
    assert same(resumed.at(9), whole.at(9))
    assert resumed.evaluations.equals(whole.evaluations)


@pytest.mark.long
def test_trained_side_by_side_as_alone() -> None:
    new, first = learned(recipe(), rescaled=True)
    tickets = [first, learned(recipe(), 1)[1], learned(recipe(), 0, 2)[1]]
    assert widest(new, "cpu", 3) == 3
    alone = [done_by(new, ticket) for ticket in tickets]
    together = train(tickets, recipe=new, device="cpu", width=3)
    for one, other in zip(alone, together, strict=True):
        for name, value in one.weights().items():
            torch.testing.assert_close(other.weights()[name], value, rtol=1e-4, atol=1e-6)
        assert other.evaluations["test_accuracy"].to_list() == pytest.approx(one.evaluations["test_accuracy"])


def test_the_mean_over_draws_is_that_of_a_plain_loop_over_masks() -> None:
    settings = recipe()
    new, ticket = learned(settings, rescaled=True)
    done = done_by(new, ticket)
    weights = done.weights()
    (row,) = sampled(new.net(), [weights], done.mask, new.data, new.task, draws=3)
    x, y = normalized(settings.data, settings.data.test)
    accuracies, losses = [], []
    for draw in range(3):
        hidden = x.flatten(1)
        for path in ("1.", "3.", "5."):
            key, chance = int(weights[f"{path}key"]), weights[f"{path}scores"].sigmoid()
            drawn = torch.tensor([number(key, -1 - draw, i) for i in range(chance.numel())]).view_as(chance) < chance
            weight = weights[f"{path}weight"] * drawn * drawn.numel() / drawn.sum()
            hidden = hidden @ weight.T + weights[f"{path}bias"]
            hidden = hidden if path == "5." else hidden.relu()
        accuracies.append((hidden.argmax(1) == y).double().mean().item())
        losses.append(nn.functional.cross_entropy(hidden, y).item())
    assert row["sampled_test_accuracy"] == pytest.approx(sum(accuracies) / 3)
    assert row["sampled_test_loss"] == pytest.approx(sum(losses) / 3, rel=1e-5)
    assert len(set(losses)) == 3
    chances = [weights[f"{path}scores"].sigmoid() for path in ("1.", "3.", "5.")]
    ones = sum(float(chance.sum()) for chance in chances)
    assert row["ones"] == pytest.approx(ones / sum(chance.numel() for chance in chances))
    assert row["ones_by_layer"] == " ".join(f"{chance.mean():.4f}" for chance in chances)


def test_a_mean_over_no_masks_is_refused() -> None:
    with pytest.raises(UserError, match="draws=0: give at least 1"):
        sampled(nn.Identity(), [], {}, recipe().data, CLASSIFICATION, draws=0)


def test_a_job_has_the_means_of_every_kind_beside_its_dense_net(tmp_path: Path) -> None:
    kind = partial(branch.learned_supermask, steps=8, batch_size=10, rate=5.0)
    kinds = {"init": kind, "constant": partial(kind, constant=True)}
    branches = {name: job.Branch(each, levels=[0], compare=partial(sampled, draws=2)) for name, each in kinds.items()}
    what = job.Job("learned", recipe(), init.glorot_normal, criterion.magnitude, distribution.by_kind, structure.weight,
                   schedule.iterative, rewind.weights, levels=0, branches=branches, device="cpu")  # fmt: skip
    done = job.run(what, Store(tmp_path), Callback(), lambda _: None)
    assert [t.steps for t in done] == [20, 8, 8]
    found = table.tickets(tmp_path).set_index("branch")
    assert found["sampled_test_accuracy"].notna().to_dict() == {"ticket": False, "init": True, "constant": True}
    assert found.loc["init", "ones_by_layer"].count(" ") == 2
    assert found["steps"].to_dict() == {"ticket": 20, "init": 20, "constant": 20}  # one line of a figure
    assert found["branch_steps"].dropna().to_dict() == {"init": 8, "constant": 8}
    declared = {"mlp": {"steps": {"ticket": 20, "init": 8, "constant": 10}}}
    less = marked(found.reset_index().assign(model="mlp"), declared).set_index("branch")["reduced"]
    assert less.dropna().to_dict() == {"constant": "steps 8 instead of 10"}
    assert len(job.stored(what, Store(tmp_path))) == 3
