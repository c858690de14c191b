"""Edge-popup: choices and gradients by hand, frozen weights, the mask in the end, and the branch in a job."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from small import COLOUR, Stop, half_pruned, momentum, recipe, same, trained
from torch import Tensor, nn

from lth import UserError, branch, criterion, distribution, init, job, rewind, schedule, structure
from lth.engine import Callback, Interrupted, train
from lth.recipe import Recipe
from lth.store import Store, table
from lth.supermask import scored_model
from lth.ticket import Ticket, Trained, density, top


def linear(shape: Any, outputs: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(3, outputs))


def conv(shape: Any, outputs: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 64, outputs))


def transposed(shape: Any, outputs: int) -> nn.Module:
    return nn.Sequential(nn.ConvTranspose2d(3, 4, 3), nn.Flatten(), nn.Linear(400, outputs))


def test_a_scored_layer_uses_the_weights_of_its_highest_scores_and_its_gradients_pass_straight_through() -> None:
    net = scored_model((3,), 2, model=linear, kept={"1.weight": 3})
    layer: Any = net[1]  # type: ignore[index]
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]))
        layer.scores.copy_(torch.tensor([[0.1, -0.9, 0.2], [0.8, 0.3, -0.7]]))
        layer.bias.zero_()
    x = torch.tensor([[1.0, 10.0, 100.0]])
    # |scores|: 0.9 (2), 0.8 (4) and 0.7 (6) are chosen
    outputs = net(x)
    assert outputs.tolist() == [[20.0, 604.0]]
    (outputs * torch.tensor([[1.0, -1.0]])).sum().backward()
    # dL/d(w m) is x for the first output and -x for the second; times w, and the sign of the score, for every weight
    assert layer.scores.grad.tolist() == [[1.0, -20.0, 300.0], [-4.0, -50.0, 600.0]]
    assert layer.weight.grad is None
    assert layer.bias.grad is None


def test_a_convolution_is_that_of_the_weights_that_are_chosen() -> None:
    net = scored_model((3, 8, 8), 3, model=conv, kept={"0.weight": 30})
    plain, x = conv((3, 8, 8), 3), torch.randn(2, 3, 8, 8)
    plain.load_state_dict({n: w for n, w in net.state_dict().items() if "scores" not in n})
    scores = net.get_parameter("0.scores").abs()
    with torch.no_grad():
        plain.get_parameter("0.weight").mul_(scores >= scores.flatten().sort().values[-30])
    torch.testing.assert_close(net(x), plain(x))
    assert {name for name, p in net.named_parameters() if p.requires_grad} == {"0.scores"}


@pytest.mark.parametrize(
    ("scores", "kept", "expected"),
    [
        ([3.0, 1.0, 2.0, 4.0], 2, [True, False, False, True]),
        ([1.0, 1.0, 1.0, 1.0], 2, [False, False, True, True]),
        ([2.0, 1.0, 2.0, 2.0], 1, [False, False, False, True]),
        ([0.0, 0.0], 2, [True, True]),
    ],
)
def test_the_highest_scores_are_chosen_and_of_equal_ones_the_higher_index(
    scores: list[float], kept: int, expected: list[bool]
) -> None:
    assert top(torch.tensor(scores), kept).tolist() == expected


def popped(settings: Recipe, ticket: Ticket, **options: Any) -> tuple[Recipe, Ticket]:
    return branch.edge_popup(trained(ticket.weights, ticket.weights, ticket.mask, replicate=ticket.replicate, level=1),
                             draw=0, recipe=settings, init=init.kaiming_normal, **options)  # fmt: skip


def done_by(new: Recipe, ticket: Ticket, **options: Any) -> Trained:
    (done,) = train([ticket], recipe=new, device="cpu", **options)
    return done


def test_training_moves_scores_alone_and_ends_with_a_mask_of_the_weights_it_started_with() -> None:
    settings = recipe(optimizer=momentum)
    start = half_pruned(settings)
    new, ticket = popped(settings, start)
    done = done_by(new, ticket, keep=[10])
    assert {n: int(m.sum()) for n, m in done.mask.items()} == {n: int(m.sum()) for n, m in start.mask.items()}
    half, end = done.at(10), done.weights()
    for name, weight in start.weights.items():
        assert torch.equal(half[name], weight), name
        assert torch.equal(end[name], weight * done.mask[name] if name in done.mask else weight), name
    for name, mask in done.mask.items():
        scores = end[name.replace("weight", "scores")]
        assert not torch.equal(scores, ticket.weights[name.replace("weight", "scores")])
        assert scores.abs()[mask].min() >= scores.abs()[~mask].max()
    losses = done.evaluations["train_loss"]
    assert losses.iloc[-1] < losses.iloc[1]


@pytest.mark.parametrize(("options", "rate"), [({}, 0.1), ({"rate": None}, 0.1), ({"rate": 0.02}, 0.02)])
def test_scores_learn_as_in_an_independent_loop(options: dict[str, float | None], rate: float) -> None:
    settings = recipe(optimizer=momentum, steps=5)
    new, ticket = popped(settings, half_pruned(settings), **options)
    from lth.data import normalized, rows

    x, y = normalized(settings.data, settings.data.train)
    order = rows(ticket.replicate, 0, 5, size=len(y), batch_size=10)
    names = [name for name in ticket.weights if "scores" in name]
    scores = {name: ticket.weights[name].clone().requires_grad_() for name in names}
    optimizer = torch.optim.SGD(scores.values(), lr=rate, momentum=0.9, weight_decay=0.01)
    kept = {name: int(done.sum()) for name, done in half_pruned(settings).mask.items()}
    for step in range(5):
        hidden = x[order[step]].flatten(1)
        for name in names:
            path = name.removesuffix("scores")
            size = scores[name].abs()
            chosen = (size >= size.flatten().sort().values[-kept[f"{path}weight"]]).float()
            choice = chosen + size - size.detach()  # 0 and 1, with the gradient of the magnitude
            hidden = hidden @ (ticket.weights[f"{path}weight"] * choice).T + ticket.weights[f"{path}bias"]
            hidden = hidden if name == names[-1] else hidden.relu()
        optimizer.zero_grad()
        nn.functional.cross_entropy(hidden, y[order[step]]).backward()
        optimizer.step()
    end = done_by(new, ticket).weights()
    for name in names:
        torch.testing.assert_close(end[name], scores[name].detach(), rtol=1e-5, atol=1e-6)


def test_scaled_weights_are_larger_by_the_root_of_one_over_the_share() -> None:
    settings = recipe()
    start = half_pruned(settings)
    _, ticket = popped(settings, start, scaled=True)
    for name, mask in start.mask.items():
        torch.testing.assert_close(ticket.weights[name], start.weights[name] * (mask.numel() / mask.sum()) ** 0.5)


def test_a_layer_that_keeps_nothing_has_no_scale() -> None:
    settings = recipe()
    start = half_pruned(settings)
    name = next(iter(start.mask))
    _, ticket = popped(
        settings, replace(start, mask={**start.mask, name: torch.zeros_like(start.mask[name])}), scaled=True
    )
    assert torch.equal(ticket.weights[name], start.weights[name])


def test_draws_replicates_and_levels_have_scores_of_their_own() -> None:
    settings = recipe()
    start = trained(half_pruned(settings).weights, half_pruned(settings).weights, half_pruned(settings).mask, level=1)
    made = [branch.edge_popup(start, draw=draw, recipe=settings, init=init.kaiming_normal)[1] for draw in (0, 1, 0)]
    assert not torch.equal(made[0].weights["1.scores"], made[1].weights["1.scores"])
    assert same(made[0].weights, made[2].weights)


@pytest.mark.parametrize("at", [5, 20])
def test_an_interrupted_training_resumes_bit_for_bit(at: int) -> None:
    settings, states = recipe(optimizer=momentum), list[Any]()
    new, ticket = popped(settings, half_pruned(settings))
    whole = done_by(new, ticket)
    with pytest.raises(Interrupted):
        done_by(new, ticket, callback=Stop(at), save=lambda _, state: states.append(state))
    resumed = done_by(new, ticket, states={ticket: states[-1]})
    assert same(resumed.weights(), whole.weights())
    assert same(resumed.mask, whole.mask)


def test_several_are_trained_one_after_the_other() -> None:
    settings = recipe(optimizer=momentum)
    new, first = popped(settings, half_pruned(settings))
    _, second = popped(settings, half_pruned(settings, replicate=2))
    alone, both = done_by(new, first), train([first, second], recipe=new, device="cpu", width=2)
    assert same(alone.weights(), both[0].weights())


def test_a_level_that_keeps_all_and_layers_without_scores_are_refused() -> None:
    settings = recipe()
    start = half_pruned(settings)
    with pytest.raises(UserError, match="edge_popup at a level that keeps all weights has none to choose"):
        popped(settings, Ticket(start.weights, {n: torch.ones_like(m) for n, m in start.mask.items()}))
    with pytest.raises(UserError, match=r"0\.weight of a ConvTranspose2d can't be chosen by scores"):
        scored_model((3, 8, 8), 3, model=transposed, kept={"0.weight": 5})


@pytest.mark.parametrize("rate", [0.0, -1.0, float("inf"), float("nan")])
def test_rates_that_are_no_positive_numbers_are_refused(rate: float) -> None:
    settings = recipe()
    with pytest.raises(UserError, match=rf"edge_popup: rate={rate}: give a rate above 0, or null"):
        popped(settings, half_pruned(settings), rate=rate)


@pytest.mark.long
@pytest.mark.parametrize("model", [conv])
def test_the_branch_of_a_job_has_the_density_of_its_level_and_is_found_again(tmp_path: Path, model: Any) -> None:
    what = job.Job("popup", recipe(model=model, data=COLOUR, optimizer=momentum), init.signed_constant,
                   criterion.magnitude, distribution.by_kind, structure.weight,
                   partial(schedule.one_shot, conv=0.5, linear=0.5, output=0.5), rewind.weights, levels=2,
                   branches={"edge_popup": job.Branch(branch.edge_popup)}, device="cpu")  # fmt: skip
    done = job.run(what, Store(tmp_path), Callback(), lambda _: None)
    shares = {(t.ticket.branch, t.ticket.level): round(density(t.mask), 2) for t in done}
    assert shares == {("ticket", 0): 1.0, ("ticket", 1): 0.5, ("edge_popup", 1): 0.5, ("ticket", 2): 0.25,
                      ("edge_popup", 2): 0.25}  # fmt: skip
    again = job.stored(what, Store(tmp_path))
    assert {t.facts["digest"] for t in again} == {t.facts["digest"] for t in done}
    assert sorted(table.tickets(tmp_path)["branch"]) == ["edge_popup"] * 2 + ["ticket"] * 3


def test_a_signed_constant_has_one_magnitude_and_the_deviation_of_kaiming_normal() -> None:
    weights: dict[str, Tensor] = init.signed_constant(conv((3, 8, 8), 3), 1)
    for name, fan in (("0.weight", 27), ("3.weight", 256)):
        assert torch.allclose(weights[name].abs(), torch.tensor((2 / fan) ** 0.5))
        assert 0.3 < (weights[name] > 0).float().mean() < 0.7
    assert not weights["0.bias"].any()
