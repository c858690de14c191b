"""SET and RigL: hand-computed updates, an independent loop, counts, states of optimizers, resuming, stacking, costs."""

import math
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small import DATA, Stop, adam, few, half_pruned, momentum, net, recipe, same, sgd
from torch import Tensor, nn

from lth import UserError, criterion, distribution, init, job, rewind, schedule, stop, structure
from lth.data import normalized, rows
from lth.engine import Callback, Interrupted, train
from lth.engine.growth import reset
from lth.imp import dense
from lth.job.levels import execute
from lth.recipe import Recipe
from lth.seed import generator
from lth.store import Store, table
from lth.ticket import Ticket, Trained, density
from lth.updater import rigl, set  # noqa: A004

RIGL = partial(rigl, every=4, end=16)
SET = partial(set, every=4, end=16)
MOVING = {"set": SET, "rigl": RIGL}


def one(trained: list[Trained]) -> Trained:
    (found,) = trained
    return found


def trained_by(chosen: Recipe, ticket: Ticket, **options: Any) -> Trained:
    return one(train([ticket], recipe=chosen, device="cpu", **options))


# ---- one layer by hand


def test_rigl_drops_the_smallest_weights_and_grows_where_the_gradient_is_largest() -> None:
    weights = {"a": torch.tensor([[0.5, -0.1, 0.9, 0.0], [0.2, 0.0, 0.0, -0.4]])}
    mask = {"a": torch.tensor([[True, True, True, False], [True, False, False, True]])}
    gradients = {"a": torch.tensor([[9.0, 0.3, 9.0, -2.0], [-1.0, 0.5, 1.5, 9.0]])}
    # f(4) = 0.8 / 2 (1 + cos(pi 4 / 8)) = 0.4 of 5 weights: -0.1 and 0.2 go; the largest gradients outside are -2, 1.5
    new = rigl(4, weights, gradients, mask, stepped=False, drop_fraction=0.8, every=4, end=8)
    assert new["a"].tolist() == [[True, False, True, True], [False, False, True, True]]


def test_a_weight_that_rigl_drops_stays_where_its_gradient_is_among_the_largest() -> None:
    weights, mask = {"a": torch.tensor([[0.1, 0.9, 0.0]])}, {"a": torch.tensor([[True, True, False]])}
    gradients = {"a": torch.tensor([[5.0, 0.0, 1.0]])}
    new = rigl(4, weights, gradients, mask, stepped=False, drop_fraction=1.0, every=4, end=8)
    assert new["a"].tolist() == [[True, True, False]]


def test_of_equal_magnitudes_and_gradients_the_lower_index_goes_and_the_higher_grows() -> None:
    weights = {"a": torch.tensor([[1.0, 1.0, 0.0, 0.0]])}
    mask = {"a": torch.tensor([[True, True, False, False]])}
    new = rigl(4, weights, {"a": torch.ones(1, 4)}, mask, stepped=False, drop_fraction=0.6, decay="constant", every=4,
               end=8)  # fmt: skip
    assert new["a"].tolist() == [[False, True, False, True]]


def test_set_drops_of_each_sign_the_weights_nearest_to_zero_and_those_that_are_zero() -> None:
    weights = {"a": torch.tensor([[0.1, 0.2, 0.3, 0.4, -0.5, -0.6, -0.01, -0.8, 0.0, 7.0]])}
    mask = {"a": torch.tensor([[True] * 9 + [False]])}
    # half of 4 positive ones (0.1, 0.2), half of 4 negative ones (-0.01, -0.5), and the 0: all 6 places are candidates
    kept = {2, 3, 5, 7}
    for replicate in range(5):
        new = set(4, weights, {}, mask, replicate=replicate, drop_fraction=0.5, every=4, end=8)["a"][0]
        assert int(new.sum()) == 9
        assert all(new[i] for i in kept)


def test_set_grows_at_places_that_are_a_function_of_replicate_step_and_layer() -> None:
    random = torch.Generator().manual_seed(0)
    weights = {name: torch.randn(30, 40, generator=random) for name in "ab"}
    weights["b"] = weights["a"]
    mask = {name: torch.rand(30, 40, generator=torch.Generator().manual_seed(1)) < 0.1 for name in "ab"}
    update = partial(set, weights=weights, gradients={}, mask=mask, every=4, end=400)
    first = update(4, replicate=1)
    assert same(first, update(4, replicate=1))
    assert not torch.equal(first["a"], first["b"])
    assert not same(first, update(8, replicate=1))
    assert not same(first, update(4, replicate=2))


def test_set_grows_everywhere_alike() -> None:
    weights = {"a": torch.ones(1, 10)}
    mask = {"a": torch.arange(10)[None] < 5}
    grown = torch.zeros(10)
    for replicate in range(1000):
        new = set(4, weights, {}, mask, replicate=replicate, drop_fraction=0.4, every=4, end=8)["a"][0]
        assert new[2:5].all()  # of 5 equal ones the first two go, and 7 places are candidates for 2 weights
        grown += new
    assert grown[[0, 1, 5, 6, 7, 8, 9]].sum() == 2000
    assert (grown[[0, 1, 5, 6, 7, 8, 9]] - 2000 / 7).abs().max() < 5 * math.sqrt(1000 * 2 / 7 * 5 / 7)


def test_the_mask_is_left_alone_between_updates_and_from_the_end_on() -> None:
    weights, mask = {"a": torch.randn(4, 5)}, {"a": torch.rand(4, 5) < 0.5}
    for step in range(1, 30):
        due = step in (4, 8, 12)
        assert (rigl(step, weights, weights, mask, stepped=False, every=4, end=16) is mask) is not due
        assert rigl(step, weights, weights, mask, stepped=True, every=4, end=16) is mask
        assert (set(step, weights, weights, mask, replicate=1, every=4, end=16) is mask) is not due


@few
@given(st.integers(0, 10**6), st.floats(0.05, 1.0), st.floats(0.01, 1.0), st.sampled_from(["constant", "cosine"]))
def test_the_counts_of_layers_never_change(seed: int, kept: float, fraction: float, decay: Any) -> None:
    random = torch.Generator().manual_seed(seed)
    weights = {name: torch.randn(shape, generator=random) for name, shape in {"a": (7, 5), "b": (4, 3, 2, 2)}.items()}
    mask = {name: torch.rand(w.shape, generator=random) < kept for name, w in weights.items()}
    weights = {name: w * mask[name] for name, w in weights.items()}
    gradients = {name: torch.randn(w.shape, generator=random) for name, w in weights.items()}
    options: Any = {"drop_fraction": fraction, "decay": decay, "every": 2, "end": 8}
    for new in (
        set(4, weights, gradients, mask, replicate=1, **options),
        rigl(4, weights, gradients, mask, stepped=False, **options),
    ):
        assert {name: int(m.sum()) for name, m in new.items()} == {name: int(m.sum()) for name, m in mask.items()}


def test_a_layer_without_gradients_stays_and_a_dense_one_is_dense() -> None:
    weights, mask = {"a": torch.randn(3, 4)}, {"a": torch.rand(3, 4) < 0.5}
    assert rigl(4, weights, {"a": None}, mask, stepped=False, every=4, end=8)["a"] is mask["a"]  # type: ignore[dict-item]
    full = {"a": torch.ones(3, 4, dtype=torch.bool)}
    assert rigl(4, weights, weights, full, stepped=False, every=4, end=8)["a"].all()
    assert set(4, weights, weights, full, replicate=1, every=4, end=8)["a"].all()


@pytest.mark.parametrize("wrong", [{"drop_fraction": 0.0}, {"drop_fraction": 1.1}, {"every": 0}, {"every": 16}])
@pytest.mark.parametrize("name", MOVING)
def test_invalid_options_are_an_error_that_names_them(name: str, wrong: dict[str, Any]) -> None:
    supplied = {"set": {"replicate": 1}, "rigl": {"stepped": False}}[name]
    ((key, value),) = wrong.items()
    with pytest.raises(UserError, match=rf"updater\.{key}={value}\b"):
        MOVING[name](1, {}, {}, {}, **supplied, **wrong)


# ---- in the engine


def independent(name: str, settings: Recipe, ticket: Ticket, *, steps: int) -> tuple[dict[str, Tensor], nn.Module]:
    """Masks and net of a plain loop with SGD and momentum of PyTorch, written from Algorithm 1 and sorted by numpy."""
    torch.manual_seed(0)
    model = settings.net()
    model.load_state_dict({n: w * ticket.mask[n] if n in ticket.mask else w for n, w in ticket.weights.items()})
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01)
    x, y = normalized(DATA, DATA.train)
    order = rows(ticket.replicate, 0, steps, size=len(DATA.train), batch_size=settings.batch_size)
    mask = {n: m.clone() for n, m in ticket.mask.items()}
    for t in range(1, steps + 1):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x[order[t - 1]]), y[order[t - 1]]).backward()
        moves = t % 4 == 0 and t < 16
        if not (moves and name == "rigl"):
            optimizer.step()
            with torch.no_grad():
                for n, m in mask.items():
                    model.get_parameter(n).mul_(m)
        if moves:
            for n, old in mask.items():
                weight = model.get_parameter(n)
                mask[n] = _moved(name, n, t, weight.detach(), weight.grad, old, ticket.replicate)
                new = mask[n] & ~old
                with torch.no_grad():
                    weight.mul_(mask[n])
                optimizer.state[weight]["momentum_buffer"][new] = 0
    return mask, model


def _moved(
    name: str, layer: str, t: int, weight: Tensor, gradient: Tensor | None, old: Tensor, replicate: int
) -> Tensor:
    w, active = weight.flatten().tolist(), old.flatten().nonzero().flatten().tolist()
    if name == "rigl":
        assert gradient is not None
        gone = int(0.3 / 2 * (1 + math.cos(math.pi * t / 16)) * len(active))
        kept = sorted(active, key=lambda i: (abs(w[i]), i))[gone:]
        score = gradient.flatten().abs().tolist()
    else:
        positive = sorted((i for i in active if w[i] > 0), key=lambda i: (w[i], i))
        negative = sorted((i for i in active if w[i] < 0), key=lambda i: (-w[i], i))
        kept = positive[int(0.3 * len(positive)) :] + negative[int(0.3 * len(negative)) :]
        score = torch.rand(old.shape, generator=generator("set", replicate, t, layer)).flatten().tolist()
    others = sorted((i for i in range(len(w)) if i not in kept), key=lambda i: (score[i], i))
    new = torch.zeros(len(w), dtype=torch.bool)
    new[kept + others[len(others) - (len(active) - len(kept)) :]] = True
    return new.view_as(old)


@pytest.mark.parametrize("name", MOVING)
def test_training_is_that_of_an_independent_loop(name: str) -> None:
    settings = recipe(updater=MOVING[name], optimizer=momentum)
    ticket = half_pruned(settings, replicate=3)
    mask, model = independent(name, settings, ticket, steps=20)
    done = trained_by(settings, ticket)
    assert same(done.mask, mask)
    assert not same(done.mask, ticket.mask)
    for key, weight in done.weights().items():
        assert torch.allclose(weight, model.state_dict()[key], atol=1e-6), key


@pytest.mark.parametrize("name", MOVING)
def test_grown_weights_are_zero_and_counts_stay_at_every_step(name: str) -> None:
    settings = recipe(updater=MOVING[name], optimizer=adam)
    ticket = half_pruned(settings)
    done = trained_by(settings, ticket, keep=range(1, 20))
    assert {n: int(m.sum()) for n, m in done.mask.items()} == {n: int(m.sum()) for n, m in ticket.mask.items()}
    before = {n: w != 0 for n, w in done.at(3).items()}
    new = done.at(4)
    for n, m in ticket.mask.items():
        assert not new[n][~m].any()  # grown at step 4: 0 until step 5
        assert int((new[n] != 0).sum()) <= int(before[n].sum())
    assert all(not done.weights()[n][~m].any() for n, m in done.mask.items())


def test_rigl_takes_no_optimizer_step_where_it_moves_the_mask_and_set_does() -> None:
    for name, moves in (("rigl", False), ("set", True)):
        settings = recipe(updater=MOVING[name], optimizer=sgd)
        done = trained_by(settings, half_pruned(settings), keep=[3, 4, 5])
        biases = [{n: w for n, w in done.at(step).items() if "bias" in n} for step in (3, 4, 5)]
        assert same(biases[0], biases[1]) is not moves, name
        assert not same(biases[1], biases[2])


@pytest.mark.parametrize("optimizer", [torch.optim.Adam, torch.optim.Adagrad, torch.optim.Rprop, torch.optim.RMSprop])
def test_the_state_of_grown_weights_is_that_of_a_new_optimizer(optimizer: Any) -> None:
    weight = nn.Parameter(torch.ones(2, 3))
    used, fresh = optimizer([weight], lr=0.01), optimizer([nn.Parameter(torch.ones(2, 3))], lr=0.01)
    for each in (used, fresh):
        (p,) = each.param_groups[0]["params"]
        p.grad = torch.zeros(2, 3)
        each.step()
    weight.grad = torch.arange(6.0).view(2, 3) + 1
    used.step()
    grown = torch.tensor([[True, False, False], [False, False, True]])
    before = {name: slot.clone() for name, slot in used.state[weight].items()}
    reset(used, weight, grown)
    (other,) = fresh.state.values()
    for name, slot in used.state[weight].items():
        if slot.shape == weight.shape:
            assert torch.equal(slot[grown], other[name][grown]), name
            assert torch.equal(slot[~grown], before[name][~grown]), name
    assert used.state[weight]["step"] == before["step"]


@pytest.mark.parametrize("name", MOVING)
def test_an_optimizer_that_looks_at_whole_layers_is_refused_before_training(name: str) -> None:
    seen: list[int] = []

    class Count(Callback):
        def stepped(self, ticket: Ticket, step: int, steps: int) -> None:
            seen.append(step)

    settings = recipe(updater=MOVING[name], optimizer=torch.optim.Adafactor)
    with pytest.raises(UserError, match="Adafactor may keep state of several weights together"):
        trained_by(settings, half_pruned(settings), callback=Count())
    assert not seen


@pytest.mark.parametrize("name", MOVING)
@pytest.mark.parametrize("at", [3, 4, 9, 16])
def test_an_interrupted_training_resumes_bit_for_bit(name: str, at: int) -> None:
    settings, states = recipe(updater=MOVING[name], optimizer=adam), []
    ticket = half_pruned(settings)
    whole = trained_by(settings, ticket)
    with pytest.raises(Interrupted):
        trained_by(settings, ticket, callback=Stop(at), save=lambda _, state: states.append(state))
    resumed = trained_by(settings, ticket, states={ticket: states[-1]})
    assert same(resumed.weights(), whole.weights())
    assert same(resumed.mask, whole.mask)
    assert resumed.facts["macs_remaining"] == whole.facts["macs_remaining"]


@pytest.mark.parametrize("name", MOVING)
def test_stacked_is_not_stacked(name: str) -> None:
    settings = recipe(updater=MOVING[name], optimizer=momentum)
    tickets = [half_pruned(settings, replicate=replicate) for replicate in (1, 2)]
    alone, stacked = (train(tickets, recipe=settings, device="cpu", width=width) for width in (1, 2))
    for a, b in zip(alone, stacked, strict=True):
        assert same(a.mask, b.mask)
        assert a.facts["macs_remaining"] == b.facts["macs_remaining"]
        for key, weight in a.weights().items():
            assert torch.allclose(weight, b.weights()[key], atol=1e-6)
    assert not same(alone[0].mask, alone[1].mask)


def test_children_that_differ_in_noise_alone_grow_at_other_places() -> None:
    """Learning nothing, they drop the same weights; only what SET draws is left to differ."""
    still = partial(torch.optim.SGD, lr=0.0)
    settings = recipe(updater=partial(set, every=10, end=20), optimizer=still)
    ticket = half_pruned(settings)
    first, again, other = (trained_by(settings, replace(ticket, order=order)).mask for order in (0, 0, 1))
    assert same(first, again)
    assert not same(first, other)


def test_multiply_accumulates_of_training_are_those_of_appendix_h() -> None:
    full, ticket = 194, half_pruned(recipe())
    kept = sum(int(m.sum()) for m in ticket.mask.values())
    evaluations = (45 * 6 + 50) * kept  # the training set at the end among them
    per_sample = {
        name: (trained_by(recipe(updater=updater, steps=20), ticket).facts["macs_remaining"] - evaluations) / 200
        for name, updater in {"set": SET, "rigl": partial(rigl, every=4, end=20)}.items()
    }
    assert per_sample["set"] == 3 * kept
    # (3 f_S DT + 2 f_S + f_D) / (DT + 1), with DT = 3 steps between two updates; 4 of 5 periods end with an update
    with_update, without = (3 * kept * 3 + 2 * kept + full) / 4, 3 * kept
    assert per_sample["rigl"] == pytest.approx((4 * with_update + without) / 5)
    assert trained_by(recipe(kernel="dense"), ticket).facts["macs_remaining"] - evaluations == 200 * 3 * kept


def test_an_updater_of_the_users_own_may_take_the_place_of_steps_too() -> None:
    seen: list[tuple[int, bool, int]] = []

    def own(step: int, weights: Any, gradients: Any, mask: Any, *, stepped: bool, replicate: int) -> Any:
        seen.append((step, stepped, replicate))
        return mask

    settings, ticket = recipe(steps=2), half_pruned(recipe(), replicate=7)
    done = trained_by(replace(settings, updater=own), ticket)
    assert seen == [(1, False, 7), (1, True, 7), (2, False, 7), (2, True, 7)]
    assert same(done.weights(), trained_by(replace(settings, kernel="dense"), ticket).weights())


# ---- levels that are pruned untrained


def job_of(**changes: Any) -> job.Job:
    usual = {"name": "sparse", "recipe": recipe(), "init": init.glorot_normal, "criterion": criterion.random,
             "distribution": distribution.er, "structure": structure.weight,
             "schedule": partial(schedule.exponential, density=0.25, rounds=2), "rewind": rewind.weights,
             "levels": 2, "train_from": 1, "device": "cpu"}  # fmt: skip
    return job.Job(**{**usual, **changes})


def run(what: job.Job, root: Path) -> list[Trained]:
    return job.run(what, Store(root), Callback(), lambda _: None)


def test_the_first_level_that_is_trained_starts_from_the_untrained_net(tmp_path: Path) -> None:
    done = run(job_of(), tmp_path)
    start = dense(recipe(), init.glorot_normal)
    assert [t.ticket.level for t in done] == [1, 2]
    assert density(done[0].ticket.mask) == pytest.approx(0.5, abs=0.01)
    assert density(done[1].ticket.mask) == pytest.approx(0.25, abs=0.01)
    assert all(same(t.ticket.weights, start.weights) and t.ticket.step == 0 for t in done)
    rows = table.tickets(tmp_path)
    assert rows["level"].tolist() == [1, 2]
    assert rows["train_from"].unique().tolist() == [1]


def test_at_initialization_a_mask_is_that_of_the_untrained_weights(tmp_path: Path) -> None:
    (done,) = run(job_of(criterion=criterion.magnitude, distribution=distribution.uniform, train_from=2), tmp_path)
    weights = dense(recipe(), init.glorot_normal).weights
    for name, mask in done.ticket.mask.items():
        n = round(0.25 * mask.numel())
        lowest = weights[name].abs().flatten().sort(descending=True).values[n - 1]
        assert torch.equal(mask, weights[name].abs() >= lowest), name


def test_scores_are_made_anew_at_each_level_with_no_training_between(tmp_path: Path) -> None:
    scored: list[tuple[int, float]] = []

    def counting(net: nn.Module, trained: Trained, batch: Any) -> dict[str, Tensor]:
        scored.append((trained.ticket.level, density(trained.mask)))
        return criterion.magnitude(net, trained, batch)

    job_ = job_of(levels=4, train_from=4, schedule=partial(schedule.exponential, density=0.16, rounds=4))
    object.__setattr__(job_, "criterion", counting)
    done: list[Ticket] = []

    def note(tickets: list[Ticket], _: Recipe) -> list[Trained]:
        done.extend(tickets)
        return []

    execute(job_, Store(tmp_path), note, [1])
    assert [level for level, _ in scored[1:]] == [0, 1, 2, 3]
    assert [round(share, 1) for _, share in scored[1:]] == [1.0, 0.6, 0.4, 0.3]
    assert [t.level for t in done] == [4]


def test_pruning_from_a_trained_level_goes_on_as_ever(tmp_path: Path) -> None:
    done = run(job_of(criterion=criterion.magnitude, rewind=partial(rewind.weights, step=5)), tmp_path)
    first, second = done
    assert (first.ticket.step, second.ticket.step) == (0, 5)
    assert same(second.ticket.weights, first.at(5))
    end = first.weights()
    assert all(end[n][m].abs().min() >= end[n][first.mask[n] & ~m].abs().max() for n, m in second.ticket.mask.items())


def test_trainings_of_two_jobs_are_told_apart_by_what_decides_them() -> None:
    """A level of which nothing was trained before starts at step 0 wherever one rewinds to; the next one does not."""
    usual, later, whole = (
        [*job.trainings(job_of(rewind=partial(rewind.weights, step=step), train_from=first)).items()]
        for step, first in ((0, 1), (5, 1), (0, 0))
    )
    assert usual[0] == later[0]
    assert [steps for _, steps in later] == [20, 15]
    assert usual[1][0] != later[1][0]
    assert not {name for name, _ in usual} & {name for name, _ in whole}


def test_a_run_is_found_again_and_another_first_level_is_another_run(tmp_path: Path) -> None:
    what = job_of()
    done, again = run(what, tmp_path), job.stored(what, Store(tmp_path))
    assert [t.facts["digest"] for t in done] == [t.facts["digest"] for t in again]
    assert [place.level for place in what.places()] == [1, 2]
    assert job_of(train_from=0).identity != what.identity
    whole = job_of(train_from=0)
    assert whole.description == [*what.description[:-1]]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"train_from": 3}, "train_from=3: the first trained level, one of levels=2"),
        ({"stops": {"accuracy_drop": stop.accuracy_drop}}, "train_from=1 trains none"),
    ],
)
def test_what_needs_a_dense_net_is_refused_without_one(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        job_of(**changes)


def test_a_random_sparse_net_is_trained_by_rigl_in_a_job(tmp_path: Path) -> None:
    (done,) = run(job_of(recipe=recipe(updater=RIGL, model=net), levels=1), tmp_path)
    (row,) = table.tickets(tmp_path).to_dict("records")
    assert (row["updater"], row["updater.every"], row["train_from"], row["level"]) == ("rigl", 4, 1, 1)
    assert row["remaining"] == sum(int(m.sum()) for m in done.ticket.mask.values())


def test_shares_of_other_layers_are_refused_before_the_dense_net_is_trained(tmp_path: Path) -> None:
    what = job_of(train_from=0, distribution=partial(distribution.by_layer, shares=[0.5, 0.5]))
    with pytest.raises(UserError, match="for each of the 3 layers"):
        run(what, tmp_path)
    assert table.tickets(tmp_path).empty
