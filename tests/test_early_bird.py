"""Early-bird tickets (You et al. 2020): distances of masks, the rule, and the tickets that a job draws by it."""

import re
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from small import COLOUR, Stop, conv_net, recipe, same
from torch import Tensor, nn

from lth import (
    UserError,
    branch,
    criterion,
    distribution,
    early_bird,
    engine,
    regularization,
    rewind,
    schedule,
    structure,
)
from lth import updater as updaters
from lth.analysis.plot import distances
from lth.cli.config.compose import validated
from lth.early_bird import bits, distance, drawn_at, epochs, matrix, settled
from lth.engine import Callback, Interrupted
from lth.imp import dense
from lth.init import glorot_normal
from lth.job import Branch, Job, run
from lth.job.drawn import drawn
from lth.keywords import arguments
from lth.store import Store, table
from lth.ticket import Ticket, Trained

JOB = Job(
    name="small", recipe=recipe(steps=20), init=glorot_normal, criterion=criterion.magnitude,
    distribution=distribution.by_kind, structure=structure.weight,
    schedule=partial(schedule.one_shot, linear=0.5, output=0.5), rewind=rewind.weights, levels=1,
)  # fmt: skip


def bird(**options: Any) -> Branch:
    return Branch(partial(branch.early_bird, every=2, **options), compare=early_bird.compare)


def ran(job: Job, root: Path, callback: Callback | None = None) -> dict[tuple[str, int, int], Trained]:
    done = run(job, Store(root), callback or Callback(), lambda _: None)
    return {(t.ticket.branch, t.ticket.level, t.ticket.draw): t for t in done}


# ---- the rule


def test_a_distance_is_the_share_of_bits_that_differ() -> None:
    one, other = torch.tensor([True, True, False, False]), torch.tensor([True, False, True, False])
    assert distance(one, other) == 0.5
    assert distance(one, one) == 0
    assert distance(one, ~one) == 1
    assert distance(torch.arange(10) < 5, torch.arange(10) < 6) == pytest.approx(0.1)


def test_bits_are_those_of_weights_or_of_outputs() -> None:
    mask = {"a": torch.tensor([[1, 0], [0, 0]]).bool(), "b": torch.tensor([[[0, 1]]]).bool(), "c": torch.ones(1).bool()}
    assert bits(mask, ["a", "b"], units=False).tolist() == [True, False, False, False, False, True]
    assert bits(mask, ["a", "b"], units=True).tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("distances", "after"),
    [
        ([0.09] * 5, 5),
        ([0.09] * 4, None),
        ([0.5, 0.09, 0.09, 0.09, 0.09, 0.09, 0.0], 6),
        ([0.01, 0.01, 0.01, 0.01, 0.1, 0.01, 0.01, 0.01, 0.01, 0.01], 10),
        ([0.1] * 20, None),
        ([0.3, 0.0, 0.3] * 5, None),
        ([], None),
    ],
)
def test_the_ticket_is_drawn_once_five_distances_in_a_row_are_below_a_tenth(
    distances: list[float], after: int | None
) -> None:
    assert settled(distances) == after


def test_the_queue_and_the_threshold_can_be_others() -> None:
    assert settled([0.4, 0.3, 0.2, 0.1], queue=2, threshold=0.35) == 3
    assert settled([0.4, 0.3], queue=1, threshold=0.35) == 2


@pytest.mark.parametrize("function", [settled, branch.early_bird])
def test_a_table_is_read_with_the_defaults_of_the_branch(function: Any) -> None:
    defaults = arguments(function)[1]
    assert (defaults["queue"], defaults["threshold"]) == (5, 0.1)


def test_no_mask_is_drawn_after_the_one_that_settles_it() -> None:
    def given() -> Any:
        yield from [0.0, 0.0]
        raise AssertionError

    assert settled(given(), queue=2) == 2


def test_epochs_end_before_the_end_of_training() -> None:
    assert epochs(20, 5) == [5, 10, 15]
    assert epochs(21, 5) == [5, 10, 15, 20]
    assert epochs(5, 5) == []


def test_distances_of_a_column_are_a_symmetric_matrix_that_says_when_the_ticket_is_drawn() -> None:
    """Four epochs; consecutive distances 0.3, 0.05 and 0.04."""
    text = "0.3 0.31 0.32 0.05 0.06 0.04"
    assert matrix(text) == [[0, 0.3, 0.31, 0.32], [0.3, 0, 0.05, 0.06], [0.31, 0.05, 0, 0.04], [0.32, 0.06, 0.04, 0]]
    assert drawn_at(text, "start=weights, queue=2") == 4
    assert drawn_at(text, "queue=1") == 3
    assert drawn_at(text, "queue=2, threshold=0.05") is None
    assert drawn_at(text, "queue=1, threshold=0.05") == 4
    assert drawn_at(text) is None


# ---- in a job


def largest(weights: dict[str, Tensor], share: float) -> dict[str, Tensor]:
    """The mask of the largest weights by magnitude, each layer on its own."""
    found = {}
    for name, weight in weights.items():
        order = weight.abs().flatten().argsort(descending=True)[: round(share * weight.numel())]
        found[name] = torch.zeros(weight.numel(), dtype=torch.bool).index_fill(0, order, True).view_as(weight)
    return found


def expected(parent: Trained, queue: int, threshold: float) -> tuple[int, dict[str, Tensor], list[float]]:
    """Step and mask of the ticket and the consecutive distances, by a plain loop over W_2, W_4, ..., W_18."""
    masks = [largest({n: parent.at(step)[n] for n in parent.mask}, 0.5) for step in range(2, 20, 2)]
    flat = [torch.cat([m.flatten() for m in mask.values()]) for mask in masks]
    apart = [float((a != b).sum()) / len(a) for a, b in pairwise(flat)]
    for end in range(queue, len(apart) + 1):
        if all(each < threshold for each in apart[end - queue : end]):
            return 2 * (end + 1), masks[end], apart
    return 18, masks[-1], apart


@pytest.mark.parametrize(("queue", "threshold"), [(2, 0.03), (3, 0.2), (8, 0.0)])
def test_a_ticket_is_drawn_as_a_plain_loop_over_the_epochs_draws_it(
    tmp_path: Path, queue: int, threshold: float
) -> None:
    """Where masks never settle (the last case), that of the last epoch is taken."""
    done = ran(replace(JOB, branches={"bird": bird(queue=queue, threshold=threshold)}), tmp_path)
    parent, found = done["ticket", 0, 0], done["bird", 1, 0].ticket
    step, mask, apart = expected(parent, queue, threshold)
    assert found.step == step
    assert same(found.mask, mask)
    assert same(found.weights, parent.at(step))
    rows = table.tickets(tmp_path).set_index("branch")
    distances = matrix(rows.loc["bird", "mask_distances"])
    assert len(distances) == 9
    assert [distances[i][i + 1] for i in range(8)] == pytest.approx(apart, abs=1e-4)
    assert rows.loc["ticket", "mask_distances"].isna().all()


def test_weights_of_epochs_are_kept_in_passing_by_the_training_that_is_pruned_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "lth")
    done = ran(replace(JOB, branches={"bird": bird()}), tmp_path)
    kept = {
        key: sorted(int(f.stem[5:]) for f in (tmp_path / "trained" / t.facts["digest"]).glob("step-*"))
        for key, t in done.items()
    }
    assert kept == {("ticket", 0, 0): [*range(2, 21, 2)], ("ticket", 1, 0): [20], ("bird", 1, 0): [20]}
    assert "trained again" not in caplog.text


@pytest.mark.long
def test_weights_that_were_not_kept_are_made_by_one_training_for_all_epochs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The dense net was trained before the branch was asked for."""
    caplog.set_level("INFO", "lth")
    ran(JOB, tmp_path / "later")
    later = ran(replace(JOB, branches={"bird": bird()}), tmp_path / "later")
    assert caplog.text.count("is trained again up to there") == 1
    at_once = ran(replace(JOB, branches={"bird": bird()}), tmp_path / "at_once")
    assert later["bird", 1, 0].facts["digest"] == at_once["bird", 1, 0].facts["digest"]


def test_an_epoch_sees_all_examples_once() -> None:
    """50 images in batches of 10 are 5 steps, in batches of 12 they are 5 too."""
    usual = Branch(partial(branch.early_bird, queue=2))
    assert [usual.epochs(recipe(steps=20, batch_size=size)) for size in (10, 12, 50)] == [
        [5, 10, 15], [5, 10, 15], [*range(1, 20)]
    ]  # fmt: skip
    assert Branch(branch.shuffle).epochs(recipe()) == []


@pytest.mark.long
def test_interrupted_and_resumed_is_never_interrupted(tmp_path: Path) -> None:
    job = replace(JOB, branches={"bird": bird(queue=2, threshold=0.2), "fresh": bird(start="reinitialize")})
    whole = ran(job, tmp_path / "whole")
    with pytest.raises(Interrupted):
        ran(job, tmp_path / "cut", Stop(11))
    resumed = ran(job, tmp_path / "cut")
    assert {key: t.facts["digest"] for key, t in whole.items()} == {
        key: t.facts["digest"] for key, t in resumed.items()
    }
    assert all(same(t.weights(), resumed[key].weights()) for key, t in whole.items())


def test_masks_that_were_drawn_are_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = replace(JOB, branches={"bird": bird()})
    first = ran(job, tmp_path)

    def forbidden(*unused: Any, **options: Any) -> Any:
        raise AssertionError

    monkeypatch.setattr("lth.imp._rounds", forbidden)  # what scoring a net asks for
    again = ran(job, tmp_path)
    assert again["bird", 1, 0].facts["digest"] == first["bird", 1, 0].facts["digest"]


def test_a_fresh_start_has_the_same_mask_and_draws_of_its_own(tmp_path: Path) -> None:
    fresh = replace(bird(start="reinitialize"), draws=2)
    done = ran(replace(JOB, branches={"bird": bird(), "fresh": fresh}), tmp_path)
    kept, one, two = (done[key].ticket for key in (("bird", 1, 0), ("fresh", 1, 0), ("fresh", 1, 1)))
    assert (one.step, two.step) == (0, 0)
    assert same(one.mask, kept.mask)
    assert not same(one.weights, two.weights)
    assert not same(one.weights, done["ticket", 0, 0].ticket.weights)


def test_a_level_of_a_level_is_drawn_in_its_own_training(tmp_path: Path) -> None:
    """Level 2 of iterative pruning is pruned from level 1, which began at step 4: its epochs end at 6, 8, ..., 18."""
    job = replace(
        JOB, levels=2, schedule=partial(schedule.iterative, linear=0.5, output=0.5),
        rewind=partial(rewind.weights, step=4), branches={"bird": replace(bird(), levels=[2])},
    )  # fmt: skip
    done = ran(job, tmp_path)
    parent, found = done["ticket", 1, 0], done["bird", 2, 0].ticket
    assert all((m <= parent.mask[name]).all() for name, m in found.mask.items())
    assert found.step in range(6, 20, 2)
    assert same(found.weights, parent.at(found.step))
    text = table.tickets(tmp_path).set_index("branch").loc["bird", "mask_distances"]
    assert len(matrix(text)) == 7


@pytest.mark.long
def test_neurons_are_counted_where_neurons_go(tmp_path: Path) -> None:
    """One convolution of 3 filters, of which 2 stay: distances are thirds, and an output layer is not counted."""
    job = replace(
        JOB, recipe=recipe(model=conv_net, data=COLOUR, regularization=regularization.batch_norm_l1),
        criterion=criterion.batch_norm_scale, structure=structure.neuron,
        schedule=partial(schedule.one_shot, conv=0.3, output=0.3), branches={"bird": bird(queue=2)},
    )  # fmt: skip
    done = ran(job, tmp_path)
    made = done["bird", 1, 0].ticket
    assert made.mask["0.weight"].flatten(1).any(1).sum() == 2
    values = {
        each
        for row in matrix(table.tickets(tmp_path).set_index("branch").loc["bird", "mask_distances"])
        for each in row
    }
    assert all(3 * value == pytest.approx(round(3 * value), abs=1e-3) for value in values)
    scale = done["ticket", 0, 0].at(made.step)["1.weight"].abs()
    assert not made.mask["0.weight"][scale.argmin()].any()


def test_only_layers_that_lose_units_are_counted() -> None:
    """Units in front of a LayerNorm all stay, as those of the output do."""

    def model(shape: object, classes: int) -> nn.Module:
        return nn.Sequential(
            nn.Flatten(), nn.Linear(16, 20), nn.LayerNorm(20), nn.Linear(20, 10), nn.ReLU(), nn.Linear(10, classes)
        )

    def kept(parent: Trained, level: int) -> Ticket:
        raise AssertionError("no mask is asked for")

    job = replace(JOB, recipe=recipe(model=model, steps=20), structure=structure.neuron)
    (start,) = engine.train([dense(job.recipe, glorot_normal)], recipe=job.recipe, device="cpu")
    found = drawn(job, bird(), kept, start, 1)
    assert (found.layers, found.units) == (["3.weight"], True)
    weights = replace(job, structure=structure.weight)
    assert drawn(weights, bird(), kept, start, 1).layers == [*start.mask]


def test_the_figure_has_a_panel_for_each_density_and_none_for_rows_without_distances() -> None:
    text = " ".join(["0.05"] * 21)  # of 7 epochs
    rows = {"model": "lenet_300_100", "data": "mnist", "steps": 20, "level": [0, 1, 2], "density": [1, 0.5, 0.25],
            "branch": ["ticket", "bird", "bird"], "draw": 0, "replicate": 1, "machine": "here", "commit": "c",
            "mask_distances": [None, text, text]}  # fmt: skip
    figure = distances(pd.DataFrame(rows), "title")
    shown = [axes for axes in figure.axes if axes.get_visible() and axes.images]
    assert [axes.get_title() for axes in shown] == [
        f"LeNet-300-100, {kept}% kept\ndrawn at epoch 6" for kept in ("50.0", "25.0")
    ]
    assert {line.get_xdata()[0] for axes in shown for line in axes.lines[:1]} == {6.0}
    assert not [axes for axes in distances(pd.DataFrame(rows)[:1], "title").axes if axes.images]


def test_distances_of_other_configurations_and_numbers_of_epochs_have_panels_of_their_own() -> None:
    rows = {"model": "lenet_300_100", "data": "mnist", "steps": [20, 20, 10], "level": 1, "density": 0.5,
            "branch": "bird", "draw": 0, "replicate": [1, 2, 1], "machine": "here", "commit": "c",
            "mask_distances": [" ".join([each] * count) for each, count in (("0.1", 21), ("0.3", 21), ("0.9", 3))],
            "config": ["a", "a", "b"]}  # fmt: skip
    shown = [axes for axes in distances(pd.DataFrame(rows), "title").axes if axes.get_visible() and axes.images]
    assert [axes.get_title() for axes in shown] == [
        f"LeNet-300-100, steps={steps}, 50.0% kept\nnot settled, the last mask is taken" for steps in (10, 20)
    ]  # fmt: skip
    assert [round(float(axes.images[0].get_array()[0, 1]), 6) for axes in shown] == [0.9, 0.2]


# ---- what is refused


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"branches": {"bird": replace(bird(), levels=[0, 1])}},
            "branch.bird.levels: level 0 is not pruned, so no training draws its mask",
        ),
        ({"train_from": 1}, "train_from=1: branch=bird draws masks while the level before is trained"),
        ({"recipe": recipe(updater=partial(updaters.gradual, end=20, every=10))}, "and the updater moves its mask"),
        ({"recipe": recipe(steps=12)}, "branch=bird: 5 epochs end before step 12, and its queue needs more than 5"),
        (
            {"rewind": partial(rewind.weights, step=12), "schedule": schedule.iterative, "levels": 2},
            "branch=bird: 3 epochs end after step 12 and before step 20, and its queue needs more than 5",
        ),
        (
            {"branches": {"shuffle": Branch(branch.shuffle, compare=early_bird.compare)}},
            "branch.shuffle.compare measures masks that are drawn in training, and this branch draws none",
        ),
        (
            {"recipe": recipe(steps=3)},
            "branch=bird: 1 epoch ends before step 3, and its queue needs more than 5: train ",
        ),
        ({"recipe": recipe(steps=12)}, "say how many steps are an epoch, such as branch.bird.transform.every=1"),
    ],
)
def test_a_job_that_can_draw_no_mask_early_is_refused(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=re.escape(sentence)):
        replace(JOB, **{"branches": {"bird": bird()}, **change})


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("branch.early_bird.transform.every=0", "must be at least 1"),
        ("branch.early_bird.transform.threshold=1.5", "must be at most 1"),
        ("branch.early_bird.transform.start=end", "choose one of weights, reinitialize"),
    ],
)
def test_wrong_settings_are_refused(given: str, sentence: str) -> None:
    with pytest.raises(UserError, match=re.escape(f"{given}: {sentence}")):
        validated(["branch=[early_bird]", given])
