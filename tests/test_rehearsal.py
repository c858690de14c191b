"""Branches before anything is trained: refusals of nets and settings, and the steps that a plan foresees."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from small import adam, net, recipe
from torch import nn

from lth import (
    UserError,
    branch,
    criterion,
    distribution,
    init,
    job,
    lr,
    quantization,
    rewind,
    schedule,
    stop,
    structure,
    updater,
)
from lth.cli.config import jobs
from lth.engine import Callback
from lth.imp import dense
from lth.job.rehearsal import _line, rehearse, tickets
from lth.keywords import unbound
from lth.recipe import Recipe
from lth.rules.branches import OF_ALL_WEIGHTS
from lth.store import Store, table
from lth.store.digest import digest
from lth.ticket import Ticket, Trained

OPTIONS = {"learned_supermask": {"steps": 7}, "connect": {"step": 9}}
EVERY = {name: partial(getattr(branch, name), **OPTIONS.get(name, {})) for name in branch.__all__
         if name not in ("Budget", "Control", "Init", "frozen_model", "stretched", "early_bird")}  # fmt: skip
# Levels of those that not every level has.
LEVELS = {"edge_popup": [2], "continued": [2], "invert": [1]}


def conv1d(shape: Any, outputs: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(1, 2), nn.Conv1d(4, 4, 3), nn.Flatten(), nn.Linear(8, outputs))


def transposed(shape: Any, outputs: int) -> nn.Module:
    return nn.Sequential(nn.ConvTranspose2d(1, 4, 3), nn.Flatten(), nn.Linear(4 * 36, outputs))


def quantized_too(trained: Trained, *, bits: int, recipe: Recipe) -> tuple[Recipe, Ticket]:
    return quantization.post_training(trained, recipe=recipe, bits=bits, images=0)


def misspelled(trained: Trained, *, draw: int, recipe: Recipe, init: Any) -> tuple[Recipe, Ticket]:
    return recipe, trained.tickets  # type: ignore[attr-defined, no-any-return]


def by_accuracy(trained: Trained, *, draw: int, recipe: Recipe, init: Any) -> tuple[Recipe, Ticket]:
    """Needs a trained net: an untrained one has no evaluation."""
    best = trained.evaluations["validation_accuracy"].iloc[-1]
    return recipe, replace(trained.ticket, weights={n: w * float(best) for n, w in trained.weights().items()})


def of(model: Any = None, moved: Any = rewind.weights, **branches: job.Branch) -> job.Job:
    settings = recipe(**({} if model is None else {"model": model}))
    return job.Job("tried", settings, init.glorot_normal, criterion.magnitude, distribution.by_kind, structure.weight,
                   schedule.iterative, moved, levels=2, branches=branches, device="cpu")  # fmt: skip


def by_trained_scores(scores: Any, mask: Any, density: Mapping[str, float]) -> dict[str, float]:
    """Needs the scores of a trained net: those of an untrained one have no largest."""
    return {name: density[name] + 0 / (max(scores[name].flatten().tolist()) > 100) for name in mask}


def noisy(trained: Trained, *, draw: int, recipe: Recipe, init: Any) -> tuple[Recipe, Ticket]:
    ticket = trained.ticket
    return recipe, replace(ticket, weights={name: w + torch.rand(w.shape) for name, w in ticket.weights.items()})


def noisy_bits(trained: Trained, *, bits: int, recipe: Recipe) -> tuple[Recipe, Ticket]:
    return noisy(trained, draw=bits, recipe=recipe, init=None)


def test_what_a_branch_of_ones_own_draws_is_a_function_of_replicate_level_and_draw() -> None:
    whole, weights = of(), list[tuple[str, float]]()
    branches = {"noisy": job.Branch(noisy, draws=2), "noisy_bits": job.Branch(noisy_bits, bits=[8, 4])}
    for start in (1, 2):
        torch.manual_seed(start)
        line = _line(whole, dense(whole.recipe, whole.init, 1), 1)
        weights += [
            (name, float(sum(w.sum() for w in ticket.weights.values())))
            for name, each in branches.items()
            for _, ticket in tickets(name, each, whole, line)
        ]
    assert weights[:4] == weights[4:]
    assert len({*weights}) == 4


def test_a_ladder_that_leaves_a_layer_nothing_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    deep = replace(of(), levels=[40])  # 0.8^40 of the weights, 0.013%
    with pytest.raises(UserError, match="would be left: ask for fewer levels"):
        job.stored(deep, Store(tmp_path))
    small_enough = {"small": partial(stop.density, below=0.5)}  # which may end it before
    assert job.stored(replace(deep, stops=small_enough), Store(tmp_path)) == []
    assert job.stored(replace(deep, distribution=by_trained_scores), Store(tmp_path)) == []


def test_a_ladder_that_is_too_long_is_told_how_long_it_may_be(tmp_path: Path) -> None:
    # 0.8^20 of the 48 weights of the middle layer are 0.55, so one; 0.8^21 are 0.44.
    for levels in (40, [5, 40], [40]):
        with pytest.raises(UserError, match=r"level 40: .* level 20 is the last that is possible"):
            job.stored(replace(of(), levels=levels), Store(tmp_path))
    assert job.stored(replace(of(), levels=20), Store(tmp_path)) == []


@pytest.mark.parametrize(
    ("density", "changes", "refused"),
    [
        (0.9, {}, None),
        (0.05, {"levels": 0}, None),
        (0.05, {}, "level 1"),
        (0.85, {}, "level 1"),  # the output is to keep 90%
        (0.9, {"distribution": distribution.globally}, None),
        (0.5, {"distribution": distribution.globally}, "level 1"),
        (0.05, {"train_from": 1, "levels": 1}, None),  # level 1 is pruned from the untrained net
        (0.05, {"train_from": 1}, "level 2"),
        (0.05, {"distribution": by_trained_scores}, None),  # which can't be asked before
        (0.05, {"stops": {"small": partial(stop.density, below=0.5)}}, None),  # which may end it before
    ],
)
def test_levels_that_keep_more_than_gradual_pruning_leaves_are_refused_before_anything_is_trained(
    tmp_path: Path, density: float, changes: dict[str, Any], refused: str | None
) -> None:
    settings = recipe(updater=partial(updater.gradual, density=density, end=10, every=5))
    what = replace(of(), recipe=settings, **changes)
    if refused is None:
        assert job.stored(what, Store(tmp_path)) == []
        return
    with pytest.raises(UserError, match=f"updater=gradual, {refused}: .* should remain and only .* are left"):
        job.stored(what, Store(tmp_path))


@pytest.mark.parametrize(("kind", "level"), [(structure.row, 15), (structure.neuron, 15)])
def test_a_ladder_that_leaves_a_unit_nothing_is_refused_before_anything_is_trained(
    tmp_path: Path, kind: Any, level: int
) -> None:
    with pytest.raises(UserError, match="would be left: ask for fewer levels"):
        job.stored(replace(of(), structure=kind, levels=level), Store(tmp_path))
    assert job.stored(replace(of(), structure=kind, levels=2), Store(tmp_path)) == []


@pytest.mark.parametrize("name", ["freeze", "edge_popup", "learned_supermask"])
def test_a_branch_whose_net_the_kernel_does_not_train_is_refused_at_once(tmp_path: Path, name: str) -> None:
    what = of(**{name: job.Branch(EVERY[name], levels=[2])})
    sparse = replace(what, recipe=replace(what.recipe, kernel="sparse", optimizer=adam))
    with pytest.raises(UserError, match="kernel=sparse: Sequential is more than linear layers"):
        job.run(sparse, Store(tmp_path), Nothing(), lambda _: None)
    done = replace(sparse, branches={"shuffle": job.Branch(branch.shuffle)})
    assert len(job.run(done, Store(tmp_path), Callback(), lambda _: None)) == 5


class Nothing(Callback):
    """Fails if anything is trained or evaluated."""

    def stepped(self, ticket: Ticket, step: int, steps: int) -> None:
        raise AssertionError

    def evaluated(self, ticket: Ticket, row: Mapping[str, float]) -> None:
        raise AssertionError


def at_the_end(trained: Trained, *, draw: int, recipe: Recipe, init: Any) -> tuple[Recipe, Ticket]:
    late = replace(trained, ticket=replace(trained.ticket, step=recipe.steps))
    return branch.edge_popup(late, draw=draw, recipe=recipe, init=init)


REFUSED = [
    (None, job.Branch(branch.edge_popup, levels=[0]), "edge_popup at a level that keeps all weights"),
    (None, job.Branch(branch.edge_popup, levels=[0, 2]), "edge_popup at a level that keeps all weights"),
    (None, job.Branch(at_the_end, levels=[2]), r"begins at step 20 of 20, so that no score would be learned"),
    (conv1d, job.Branch(branch.freeze), r"1\.weight of a Conv1d can't be frozen"),
    (conv1d, job.Branch(branch.freeze_growing, levels=[2]), r"1\.weight of a Conv1d can't be frozen"),
    (conv1d, job.Branch(branch.freeze_growing_all), r"1\.weight of a Conv1d can't be frozen"),
    (transposed, job.Branch(branch.edge_popup), r"0\.weight of a ConvTranspose2d can't be chosen by scores"),
    (transposed, job.Branch(branch.learned_supermask, levels=[0]), "of a ConvTranspose2d can't be chosen by scores"),
    (None, job.Branch(partial(branch.learned_supermask, steps=0), levels=[0]), "steps=0: must be at least 1"),
    (None, job.Branch(partial(branch.learned_supermask, rate=0.0), levels=[0]), "rate=0.0, momentum=0.9: give a rate"),
    (None, job.Branch(partial(branch.connect, of="nothing")), "of=nothing: choose one of ticket"),
    (None, job.Branch(partial(branch.connect, step=20), levels=[0]), "training has 20 steps"),
    (None, job.Branch(partial(quantization.aware, steps=0), bits=[8]), "steps=0: must be at least 1"),
    (None, job.Branch(quantized_too, bits=[8]), "images=0"),
]


@pytest.mark.parametrize(("model", "refused", "sentence"), REFUSED)
def test_a_branch_that_cannot_be_is_refused_before_anything_is_trained_or_planned(
    tmp_path: Path, model: Any, refused: job.Branch, sentence: str
) -> None:
    for tried in (partial(job.run, callback=Nothing(), finished=lambda _: None), job.stored):
        with pytest.raises(UserError, match=sentence):
            tried(of(model, shuffle=job.Branch(branch.shuffle), last=refused), Store(tmp_path))
    assert not (tmp_path / "trained").exists()


def test_a_mistake_in_a_branch_comes_first_and_what_it_needs_of_a_trained_net_later(tmp_path: Path) -> None:
    with pytest.raises(AttributeError, match="tickets"):
        job.run(of(mine=job.Branch(misspelled)), Store(tmp_path), Nothing(), lambda _: None)
    before = torch.get_rng_state()
    done = job.run(of(mine=job.Branch(by_accuracy, levels=[1])), Store(tmp_path), Callback(), lambda _: None)
    assert [t.ticket.branch for t in done] == ["ticket", "ticket", "mine", "ticket"]
    assert torch.equal(torch.get_rng_state(), before)


REWINDS = [rewind.weights, partial(rewind.weights, step=12), partial(rewind.learning_rate, step=3),
           partial(rewind.fine_tune, steps=6)]  # fmt: skip


@pytest.mark.parametrize("moved", REWINDS, ids=lambda moved: unbound(moved)[0].__name__)
def test_a_plan_foresees_the_steps_that_each_branch_trains(moved: Any) -> None:
    weights_left = unbound(moved)[0] is rewind.weights  # of those that are pruned, too
    names = [name for name in EVERY if weights_left or name not in OF_ALL_WEIGHTS]
    whole = of(moved=moved, **{name: job.Branch(EVERY[name], levels=LEVELS.get(name, [0, 2])) for name in names})
    planned = job.planned(whole)
    start = dense(whole.recipe, whole.init)
    for name, each in whole.branches.items():
        for level in each.levels or ():
            line = _line(whole, start, level)
            ((settings, ticket),) = tickets(name, each, whole, line)
            beside = line[-1].ticket
            itself = name == "connect" and beside.step >= OPTIONS[name]["step"]
            assert not itself or digest(settings, ticket) == digest(whole.recipe_of(beside), beside)
            assert planned[job.Place(1, level, name)] == (not itself) * (settings.steps - ticket.step), (name, level)
    assert planned[job.Place(1, 2, "supermask")] == 0
    assert sum(job.trainings(whole).values()) == sum(planned.values())


def test_a_plan_says_which_numbers_of_steps_are_bounds() -> None:
    macs = partial(branch.scratch, budget="macs")
    bird = partial(branch.early_bird, every=2)
    drawn_anew = partial(bird, start="reinitialize")
    transforms = {"e": branch.scratch, "b": macs, "bird": bird, "fresh": drawn_anew, "reset": branch.reset}
    whole = of(**{name: job.Branch(transform) for name, transform in transforms.items()})
    bounds = {name: job.bound(whole, job.Place(1, 1, name)) for name in ("ticket", *transforms)}
    assert bounds == {"ticket": "", "e": "", "b": "at least ", "bird": "at most ", "fresh": "", "reset": ""}


def fine_tuned(moves: Any = updater.none, **given: Any) -> job.Job:
    """A job whose 20 steps end at a tenth of the rate, at which pruned nets are trained for 30 more."""
    moved = partial(rewind.fine_tune, steps=30, rate="last")
    settings = recipe(optimizer=adam, lr=partial(lr.drop, at=[15]), updater=moves)
    return replace(of(moved=moved), recipe=settings, **given)


@pytest.mark.long
def test_nets_that_are_fine_tuned_at_the_last_rate_are_trained_and_quantized_after_the_end(tmp_path: Path) -> None:
    bits = {
        "rounded": job.Branch(quantization.post_training, bits=[8]),
        "aware": job.Branch(partial(quantization.aware, steps=5), bits=[4]),
    }
    whole = fine_tuned(levels=2, branches=bits)
    done = job.run(whole, Store(tmp_path), Callback(), lambda _: None)
    ends = {(t.ticket.branch, t.ticket.level): (t.ticket.step, t.steps) for t in done}
    assert [ends["ticket", level] for level in (0, 1, 2)] == [(0, 20), (20, 50), (20, 50)]
    assert [ends["rounded", level] for level in (0, 1, 2)] == [(20, 20), (50, 50), (50, 50)]
    assert [ends["aware", level] for level in (0, 1, 2)] == [(20, 25), (50, 55), (50, 55)]
    planned = {(place.branch, place.level): steps for place, steps in job.planned(whole).items()}
    assert [planned["ticket", level] for level in (0, 1, 2)] == [20, 30, 30]
    assert job.planned(whole).keys() == {job.place(t.ticket) for t in done}  # so that no time is left in the end
    mean = {"trainings": 9, "steps": 11}  # (20 + 2 * 30 + 3 * 5 of those that are quantization-aware) / 9, rounded up
    assert whole.record(Store(tmp_path), 1).planned == mean
    by_level = table.tickets(tmp_path).query("branch == 'ticket'").set_index("level")
    assert by_level["steps"].tolist() == [20, 20, 20]
    assert by_level["samples"].tolist() == [20 * 10, 30 * 10, 30 * 10]  # batches of 10
    assert by_level["rewind.rate"].unique().tolist() == ["last"]
    assert by_level.get("branch_steps", pd.Series()).dropna().empty


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (
            {"branches": {"shuffle": job.Branch(branch.shuffle)}},
            "branch=shuffle: with rewind.rate=last only quantizations",
        ),
        ({"moves": partial(updater.set, every=5, end=20)}, "and the updater moves the mask in steps before it"),
    ],
)
def test_what_would_have_nothing_to_do_before_the_end_is_refused(given: Any, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        fine_tuned(**given)


def test_a_step_of_a_control_is_no_reason_to_refuse_it_where_controls_are_refused() -> None:
    words = ["steps=20", "rewind=fine_tune", "rewind.steps=30", "rewind.rate=last", "branch=[flip_signs]"]
    with pytest.raises(UserError, match=r"branch=flip_signs: with rewind\.rate=last only quantizations can"):
        jobs([*words, "branch.flip_signs.transform.step=25"])


def test_tickets_that_begin_after_the_end_of_their_run_are_no_start_for_another() -> None:
    with pytest.raises(UserError, match="no other run can continue from there"):
        replace(of(), recipe=recipe(steps=40, optimizer=adam), start=fine_tuned())


# ---- steps of the tickets that are tried out


def from_another(steps: int, there: Any, **branches: job.Branch) -> job.Job:
    """A job of so many steps that takes the tickets of one of 20 steps with this rewinding."""
    return replace(
        of(), name="here", recipe=recipe(steps=steps, optimizer=adam), branches=branches, start=of(moved=there)
    )


@pytest.mark.parametrize(
    ("what", "begins"),
    [
        (replace(of(moved=partial(rewind.weights, step=5)), train_from=1,
                 branches={"signs": job.Branch(partial(branch.signed_reinitialize, step=3), levels=[1])}), 0),
        (from_another(10, partial(rewind.fine_tune, steps=15), signs=job.Branch(branch.reinitialize, levels=[1])), 5),
        (from_another(10, partial(rewind.weights, step=10), signs=job.Branch(branch.reinitialize, levels=[1])), 10),
    ],
)  # fmt: skip
def test_a_branch_is_tried_where_its_ticket_begins(tmp_path: Path, what: job.Job, begins: int) -> None:
    done = job.run(replace(what, levels=1), Store(tmp_path), Callback(), lambda _: None)
    assert [t.ticket.step for t in done if t.ticket.branch == "signs"] == [begins]


@pytest.mark.parametrize(
    ("levels", "change", "sentence"),
    [
        ([0, 1], {}, "level 1 is trained from step 5 to 20"),
        ([1, 2], {"train_from": 1}, "level 2 is trained from step 5 to 20"),
    ],
)
def test_a_branch_is_tried_at_a_level_of_each_kind(
    tmp_path: Path, levels: list[int], change: dict[str, Any], sentence: str
) -> None:
    signs = job.Branch(partial(branch.signed_reinitialize, step=3), levels=levels)
    what = replace(of(moved=partial(rewind.weights, step=5)), branches={"signs": signs}, **change)
    with pytest.raises(UserError, match=f"step=3: .*{sentence}"):
        job.run(what, Store(tmp_path), Nothing(), lambda _: None)


def test_weights_of_a_dense_net_that_is_not_trained_are_refused_at_once() -> None:
    with pytest.raises(UserError, match="step=3: train_from=1 trains no dense net to take the weights from"):
        replace(of(), train_from=1, branches={"last": job.Branch(partial(branch.reset, step=3))})


def of_inverse(trained: Trained, *, draw: int, recipe: Recipe, init: Any, inverse: Any) -> tuple[Recipe, Ticket]:
    return recipe, inverse(trained, trained.ticket.level)


def of_drawn(trained: Trained, *, draw: int, recipe: Recipe, init: Any, drawn: Any) -> tuple[Recipe, Ticket]:
    return recipe, replace(trained.ticket, mask=drawn.mask(drawn.steps[0]))


@pytest.mark.parametrize("transform", [of_inverse, of_drawn, branch.continued])
def test_a_branch_that_looks_at_the_pruning_of_another_run_is_refused(transform: Any) -> None:
    with pytest.raises(UserError, match="branch=mine looks at the trainings in which a ticket was pruned"):
        from_another(20, rewind.weights, mine=job.Branch(transform, levels=[1]))


def test_a_branch_has_not_the_name_of_the_trainings_of_the_other_run() -> None:
    with pytest.raises(UserError, match=r"branch\.source: with start= this is the name"):
        from_another(20, rewind.weights, source=job.Branch(branch.shuffle))


def test_a_rehearsal_traces_no_net_again_and_warns_of_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """More than one call of the model is one for the dense net's weights."""
    what = of(counted, bird=job.Branch(partial(branch.early_bird, every=2, threshold=0.0)),
              shuffle=job.Branch(branch.shuffle), invert=job.Branch(branch.invert, levels=[1]))  # fmt: skip
    assert what.recipe.layers.kinds
    before = len(CALLS)
    rehearse(what)
    assert len(CALLS) == before + 1
    assert not caplog.records


CALLS: list[Any] = []


def counted(shape: Any, outputs: int) -> nn.Module:
    CALLS.append(shape)
    return net(shape, outputs)
