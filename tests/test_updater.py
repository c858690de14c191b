"""Updaters: gradual pruning during training, its storage, and further pruning from m_T."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from small import adam, copied, half_pruned, net, recipe, same
from torch import Tensor

from lth import UserError, criterion, distribution, init, job, rewind, schedule, structure
from lth.engine import Callback, Interrupted, train
from lth.imp import dense, prune
from lth.recipe import Recipe
from lth.store import Store, table
from lth.store.digest import digest
from lth.ticket import Ticket, Trained, remaining
from lth.updater import gradual, none

# 20 steps; pruned at steps 4, 8, 12, 16 to 0.1 + 0.9 (1 - t / 16)^3 of each layer
GRADUAL = partial(gradual, density=0.1, begin=0, end=16, every=4)
SHARES = {0: 1.0, 4: 0.4796875, 8: 0.2125, 12: 0.1140625, 16: 0.1}
SIZES = {"1.weight": 128, "3.weight": 48, "5.weight": 18}


def settings(**changes: Any) -> Recipe:
    return recipe(updater=GRADUAL, optimizer=adam, **changes)


def one(trained: list[Trained]) -> Trained:
    (found,) = trained
    return found


def trained_by(chosen: Recipe, **options: Any) -> Trained:
    ticket = options.pop("ticket", None) or dense(chosen, init.glorot_normal)
    return one(train([ticket], recipe=chosen, device="cpu", **options))


def test_a_layer_of_100_weights_is_pruned_by_magnitude_on_the_cubic_schedule() -> None:
    weights = {"a": torch.arange(100.0).view(10, 10) - 50}  # magnitudes 50, 49, ..., 0, ..., 49
    mask: dict[str, Tensor] = {"a": torch.ones(10, 10, dtype=torch.bool)}
    kept = {}
    for step in range(1, 21):
        new = gradual(step, weights, weights, mask, density=0.1, begin=0, end=16, every=4)
        if new is not mask:
            kept[step] = int(new["a"].sum())
        assert not (new["a"] & ~mask["a"]).any()
        mask = dict(new)
    assert kept == {4: 48, 8: 21, 12: 11, 16: 10}
    assert weights["a"][mask["a"]].abs().min() == 45
    assert (weights["a"].abs() > 45).sum() == 9


def test_a_layer_that_is_sparser_already_stays_and_no_layer_is_emptied() -> None:
    mask = {"a": torch.tensor([[True, False, False, False]]), "b": torch.ones(1, 4, dtype=torch.bool)}
    weights = {"a": torch.ones(1, 4), "b": torch.tensor([[1.0, 4.0, 2.0, 3.0]])}
    new = gradual(8, weights, weights, mask, density=0.01, begin=0, end=8, every=8)
    assert new["a"].tolist() == mask["a"].tolist()
    assert new["b"].tolist() == [[False, True, False, False]]


@pytest.mark.parametrize(
    "wrong", [{"density": 0.0}, {"density": 1.5}, {"begin": 9, "end": 9}, {"every": 0}, {"end": 17}, {"begin": -1}]
)
def test_an_invalid_schedule_is_an_error_that_names_its_keys(wrong: dict[str, Any]) -> None:
    options = {"density": 0.1, "begin": 0, "end": 16, "every": 4, **wrong}
    (key,) = {*wrong} - {"begin"} or {"begin"}
    with pytest.raises(UserError, match=rf"updater\.{key}={wrong[key]}\b"):
        gradual(1, {}, {}, {}, **options)


def test_training_prunes_at_these_steps_and_pruned_weights_stay_zero() -> None:
    done = trained_by(settings(), keep=range(1, 20))
    for step in range(1, 21):
        share = SHARES[max(s for s in SHARES if s <= min(step, 16))]
        weights = done.at(step)
        zero = {name: int((weights[name] == 0).sum()) for name in SIZES}
        assert zero == {name: size - round(share * size) for name, size in SIZES.items()}, step
    assert {name: int(m.sum()) for name, m in done.mask.items()} == {n: round(0.1 * s) for n, s in SIZES.items()}
    assert all(m.all() for m in done.ticket.mask.values())
    assert all(not done.weights()[name][~m].any() for name, m in done.mask.items())


def test_the_updater_sees_the_step_the_weights_the_gradients_and_the_mask_after_every_step() -> None:
    seen: list[tuple[int, list[str], list[str], int]] = []

    def watching(step: int, weights: Any, gradients: Any, mask: Any) -> Any:
        assert all(gradients[name].shape == weights[name].shape for name in mask)
        seen.append((step, [*weights], [*mask], remaining(mask)))
        return mask

    ticket = half_pruned(recipe())
    done = trained_by(replace(recipe(), updater=watching), ticket=ticket)
    names = [*SIZES]
    assert seen == [(step, names, names, remaining(ticket.mask)) for step in range(1, 21)]
    plain = trained_by(recipe(), ticket=ticket)
    assert same(done.weights(), plain.weights())
    assert plain.mask is ticket.mask
    assert same(done.mask, ticket.mask)


def test_an_updater_that_writes_into_its_mask_leaves_the_ticket_as_it_was() -> None:
    def emptied(step: int, weights: Any, gradients: Any, mask: Any) -> Any:
        for m in mask.values():
            m[0] = False
        return mask

    ticket = half_pruned(recipe())
    before = copied(ticket.mask)
    trained_by(replace(recipe(), updater=emptied), ticket=ticket)
    assert same(ticket.mask, before)


def test_a_mask_that_grows_gives_weights_back_that_start_at_zero() -> None:
    def grown(step: int, weights: Any, gradients: Any, mask: Any) -> Any:
        return {name: torch.ones_like(m) for name, m in mask.items()} if step == 20 else mask

    ticket = half_pruned(recipe())
    done = trained_by(replace(recipe(), updater=grown), ticket=ticket)
    assert all(m.all() for m in done.mask.values())
    assert all(not done.weights()[name][~m].any() for name, m in ticket.mask.items())


@pytest.mark.parametrize("chance", [3, 9, 17, 30])
def test_an_interrupted_training_resumes_with_its_mask_bit_for_bit(chance: int) -> None:
    class Stop(Callback):
        left = chance

        def stepped(self, ticket: Ticket, step: int, steps: int) -> None:
            self.left -= 1
            if not self.left:
                raise Interrupted

    chosen = settings()
    ticket, states = dense(chosen, init.glorot_normal), []
    whole = trained_by(chosen, ticket=ticket)
    with pytest.raises(Interrupted):
        trained_by(chosen, ticket=ticket, callback=Stop(), save=lambda _, state: states.append(state))
    resumed = trained_by(chosen, ticket=ticket, states={ticket: states[-1]})
    assert same(resumed.weights(), whole.weights())
    assert same(resumed.mask, whole.mask)
    assert resumed.facts["macs_remaining"] == whole.facts["macs_remaining"]


def test_multiply_accumulates_follow_the_current_mask() -> None:
    facts = trained_by(settings()).facts
    kept = {step: sum(round(share * size) for size in SIZES.values()) for step, share in SHARES.items()}
    in_force = [kept[max(s for s in kept if s < step)] for step in range(1, 21)]
    evaluated = [kept[max(s for s in kept if s <= step)] for step in range(0, 21, 4)]
    assert facts["macs_remaining"] == 3 * 10 * sum(in_force) + 45 * sum(evaluated) + 50 * evaluated[-1]


def test_the_final_mask_is_stored_evaluated_and_pruned_further(tmp_path: Path) -> None:
    chosen = settings()
    start = dense(chosen, init.glorot_normal)
    store = Store(tmp_path)
    plain = partial(train, recipe=chosen, device="cpu")
    fresh, again = (one(store.cached(plain, chosen)([start])) for _ in range(2))
    assert same(fresh.mask, again.mask)
    assert remaining(again.mask) == 13 + 5 + 2
    assert table.row(again)["density"] == 20 / 194
    ladder = schedule.iterative(1, linear=0.5, output=0.5)
    with pytest.raises(ValueError, match="pruned weights stay pruned"):
        prune(again, 1, recipe=chosen, ladder=ladder)  # half of a layer is more than the tenth that is left
    child = prune(again, 1, recipe=chosen, ladder=schedule.iterative(1, linear=0.95, output=0.95))
    assert all(not (child.mask[name] & ~m).any() for name, m in again.mask.items())
    assert same(child.weights, start.weights)


def test_a_job_reports_what_remains_at_the_end(tmp_path: Path) -> None:
    what = job.Job("gradual", settings(), init.glorot_normal, criterion.magnitude, distribution.by_kind,
                   structure.weight, schedule.iterative, rewind.weights, levels=0, device="cpu")  # fmt: skip
    job.run(what, Store(tmp_path), Callback(), lambda _: None)
    (row,) = table.tickets(tmp_path).to_dict("records")
    assert (row["remaining"], row["total"], row["updater"], row["updater.every"]) == (20, 194, "gradual", 4)


def test_no_updater_is_no_part_of_the_name_of_a_result_and_one_is() -> None:
    ticket = dense(recipe(), init.glorot_normal)
    assert digest(recipe(updater=none), ticket) == digest(recipe(), ticket)
    assert not recipe(updater=partial(none)).moves_mask
    assert digest(recipe(updater=GRADUAL), ticket) != digest(recipe(), ticket)
    assert recipe(model=net, updater=GRADUAL).moves_mask
