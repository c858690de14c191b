"""One job: its trainings, their order, and its name."""

import importlib
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shell
import small
import torch
from small import adam, recipe
from torch import Tensor, nn

from lth import UserError, augment, branch, criterion, distribution, engine, init, job, rewind, schedule, structure
from lth.engine import Callback
from lth.imp import Rewind, prune
from lth.job import Branch, Job, Place
from lth.recipe import Recipe
from lth.seed import seed
from lth.store import Store, read_result, table
from lth.store import digest as digest_module
from lth.ticket import Ticket, Trained, Weights, remaining

JOB = Job(
    name="small",
    recipe=recipe(),
    init=init.glorot_normal,
    criterion=criterion.magnitude,
    distribution=distribution.by_kind,
    structure=structure.weight,
    schedule=partial(schedule.iterative, linear=0.5, output=0.5),
    rewind=rewind.weights,
    levels=2,
    device="cpu",
)
REINITIALIZE, SHUFFLE = Branch(branch.reinitialize), Branch(branch.shuffle)
# 16 x 8, 8 x 6 and 6 x 3 weights; half of each layer goes at every level: 64 + 24 + 9, 32 + 12 + 4, 16 + 6 + 2, ...
REMAINING = {0: 194, 1: 97, 2: 48, 3: 24, 4: 12}


class Begun(Callback):
    """Counts the trainings that begin."""

    def __init__(self) -> None:
        self.count: Counter[str] = Counter()

    def evaluated(self, ticket: Ticket, row: Mapping[str, float]) -> None:
        self.count[str(ticket)] += row["step"] == ticket.step


def ran(what: Job, root: Path, keep: str = "all") -> list[Trained]:
    return job.run(what, Store(root, keep=keep), Callback(), lambda _: None)


def levels(trained: list[Trained]) -> list[tuple[str, int, int]]:
    return [(t.ticket.branch, t.ticket.draw, t.ticket.level) for t in trained]


def pruned_once(dense: Trained, level: int) -> dict[str, Tensor]:
    """The mask of `level` straight from the dense net, by sorting."""
    kept = {}
    for name, mask in dense.ticket.mask.items():
        size = dense.weights()[name].abs().flatten()
        order = torch.argsort(size, stable=True)
        gone = round(mask.numel() * (1 - 0.5**level))
        chosen = torch.ones(mask.numel(), dtype=torch.bool)
        chosen[order[:gone]] = False
        kept[name] = chosen.view_as(mask)
    return kept


def test_iterative_pruning_trains_every_level_once_and_prunes_each_from_the_one_before(tmp_path: Path) -> None:
    ears = Begun()
    trained = job.run(JOB, Store(tmp_path), ears, lambda _: None)
    assert levels(trained) == [("ticket", 0, 0), ("ticket", 0, 1), ("ticket", 0, 2)]
    assert set(ears.count.values()) == {1}
    assert len(ears.count) == 3
    for parent, child in pairwise(trained):
        assert all((child.ticket.mask[n] <= m).all() for n, m in parent.ticket.mask.items())
        assert remaining(child.ticket.mask) == REMAINING[child.ticket.level]
        expected = prune(parent, child.ticket.level, recipe=JOB.recipe, ladder=JOB.ladder)
        assert all(torch.equal(expected.mask[n], m) for n, m in child.ticket.mask.items())


def test_a_list_of_levels_climbs_from_one_to_the_next(tmp_path: Path) -> None:
    trained = ran(replace(JOB, levels=[0, 2, 4]), tmp_path)
    assert [t.ticket.level for t in trained] == [0, 2, 4]
    assert [remaining(t.ticket.mask) for t in trained] == [REMAINING[0], REMAINING[2], REMAINING[4]]
    once = pruned_once(trained[0], 2)
    assert all(torch.equal(once[name], mask) for name, mask in trained[1].ticket.mask.items())
    assert all((trained[2].ticket.mask[name] <= mask).all() for name, mask in once.items())


def test_the_dense_level_is_trained_though_the_list_of_levels_leaves_it_out(tmp_path: Path) -> None:
    assert [t.ticket.level for t in ran(replace(JOB, levels=[2]), tmp_path)] == [0, 2]


def late(trained: Trained, *, step: int = 5) -> tuple[Weights, int]:
    """A rewinding of one's own: W_k and k."""
    return trained.at(step), step


def named(trained: Trained, *, step: str = "best") -> tuple[Weights, int]:
    """A rewinding of one's own that reads another kind of step."""
    return trained.ticket.weights, len(step) - 4


def test_a_rewinding_whose_step_is_no_number_is_planned_from_step_0() -> None:
    assert replace(JOB, rewind=named).begin == 0


@pytest.mark.parametrize(("rewound", "step"), [(late, 5), (partial(late, step=15), 15)])
def test_a_rewinding_of_ones_own_is_planned_and_its_start_kept_though_the_step_is_its_default(
    rewound: Rewind, step: int, tmp_path: Path
) -> None:
    what, ears = replace(JOB, levels=1, rewind=rewound), Begun()
    assert job.planned(what) == {Place(1, 0): 20, Place(1, 1): 20 - step}
    trained = job.run(what, Store(tmp_path), ears, lambda _: None)
    assert [t.ticket.step for t in trained] == [0, step]
    assert set(ears.count.values()) == {1}  # the dense net is not trained again for the weights of this step


@pytest.mark.long
def test_one_shot_prunes_every_level_from_the_dense_net_to_the_density_that_iterative_pruning_has(
    tmp_path: Path,
) -> None:
    one_shot = replace(JOB, schedule=partial(schedule.one_shot, linear=0.5, output=0.5), levels=3)
    trained = ran(one_shot, tmp_path)
    assert [t.ticket.level for t in trained] == [0, 1, 2, 3]
    for one in trained[1:]:
        expected = pruned_once(trained[0], one.ticket.level)
        assert all(torch.equal(expected[name], mask) for name, mask in one.ticket.mask.items())
    iterative = ran(replace(JOB, levels=3), tmp_path)
    assert [remaining(t.ticket.mask) for t in trained] == [remaining(t.ticket.mask) for t in iterative]


@pytest.mark.long
def test_controls_branch_off_at_all_levels_but_the_dense_one(tmp_path: Path) -> None:
    trained = ran(replace(JOB, branches={"reinitialize": REINITIALIZE, "shuffle": SHUFFLE}), tmp_path)
    assert levels(trained) == [
        ("ticket", 0, 0),
        ("ticket", 0, 1),
        ("reinitialize", 0, 1),
        ("shuffle", 0, 1),
        ("ticket", 0, 2),
        ("reinitialize", 0, 2),
        ("shuffle", 0, 2),
    ]


def negated(trained: Trained, draw: int, recipe: Recipe, init: Any) -> tuple[Recipe, Ticket]:
    """A control in which nothing is random: weights of opposite sign."""
    return recipe, replace(trained.ticket, weights={name: -w for name, w in trained.ticket.weights.items()})


def test_draws_in_which_nothing_is_random_are_counted_once(tmp_path: Path) -> None:
    controls = {"negated": Branch(negated, draws=3), "shuffle": replace(SHUFFLE, levels=[1], draws=3)}
    ran(replace(JOB, branches=controls), tmp_path)
    counted = table.tickets(tmp_path).groupby(["branch", "level"])["draw"].agg(list)
    assert counted["negated"].to_dict() == {1: [0], 2: [0]}
    assert counted["shuffle"].to_dict() == {1: [0, 1, 2]}
    curves = table.evaluations(tmp_path)
    assert curves[curves["branch"] == "negated"]["draw"].unique().tolist() == [0]


@pytest.mark.long
def test_controls_branch_off_at_the_chosen_levels_in_several_different_draws(tmp_path: Path) -> None:
    chosen = {"reinitialize": replace(REINITIALIZE, levels=[0, 2], draws=3)}
    trained = ran(replace(JOB, branches=chosen), tmp_path)
    controls = [("reinitialize", draw, level) for level in (0, 2) for draw in range(3)]
    assert levels(trained) == [("ticket", 0, 0), *controls[:3], ("ticket", 0, 1), ("ticket", 0, 2), *controls[3:]]
    assert len({t.facts["digest"] for t in trained}) == 9


def test_the_listed_trainings_are_those_that_run(tmp_path: Path) -> None:
    chosen = {"reinitialize": replace(REINITIALIZE, levels=[0, 2], draws=2), "shuffle": SHUFFLE}
    for number, what in enumerate(
        [replace(JOB, branches=chosen), replace(JOB, levels=[1, 3], branches={"shuffle": SHUFFLE}), JOB]
    ):
        assert what.places() == [job.place(t.ticket) for t in ran(what, tmp_path / str(number))]


@pytest.mark.long
def test_a_control_does_not_change_the_tickets_beside_it(tmp_path: Path) -> None:
    beside = ran(replace(JOB, branches={"reinitialize": REINITIALIZE}), tmp_path / "a")
    alone = ran(JOB, tmp_path / "b")
    digests = [t.facts["digest"] for t in beside if t.ticket.branch == "ticket"]
    assert digests == [t.facts["digest"] for t in alone]


def test_everything_trained_is_recorded_and_reported_in_order(tmp_path: Path) -> None:
    heard: list[Trained] = []
    trained = job.run(JOB, Store(tmp_path), Callback(), heard.append)
    assert [t.facts["digest"] for t in heard] == [t.facts["digest"] for t in trained]
    (record,) = shell.records(tmp_path)
    assert [(row["level"], row["digest"], row["remaining"]) for row in record["rows"].values()] == [
        (level, t.facts["digest"], REMAINING[level]) for level, t in enumerate(trained)
    ]


# ---- what is stored


def test_of_an_empty_store_nothing_is_listed_and_nothing_is_trained(tmp_path: Path) -> None:
    assert job.stored(JOB, Store(tmp_path)) == []
    assert shell.files(tmp_path) == []


def test_what_is_stored_is_listed_up_to_where_it_ends_and_nothing_is_trained(tmp_path: Path) -> None:
    ran(replace(JOB, branches={"shuffle": SHUFFLE}), tmp_path)
    before = sorted((tmp_path / "trained").iterdir())
    longer = replace(JOB, levels=5, branches={"shuffle": replace(SHUFFLE, draws=2)})
    assert levels(job.stored(longer, Store(tmp_path))) == [
        ("ticket", 0, 0),
        ("ticket", 0, 1),
        ("shuffle", 0, 1),
        ("ticket", 0, 2),
        ("shuffle", 0, 2),
    ]
    assert sorted((tmp_path / "trained").iterdir()) == before


def test_a_listing_does_not_retrain_weights_that_were_not_kept(tmp_path: Path) -> None:
    ran(replace(JOB, levels=1), tmp_path, keep="none")
    before = [file.name for file in shell.files(tmp_path)]
    assert levels(job.stored(replace(JOB, levels=2), Store(tmp_path))) == [
        ("ticket", 0, 0),
        ("ticket", 0, 1),
    ]
    assert [file.name for file in shell.files(tmp_path)] == before


# ---- identity


@pytest.mark.parametrize(
    "changes",
    [
        {"levels": 9},
        {"branches": {"reinitialize": REINITIALIZE}},
        {"device": "auto"},
        {"width": 4},
        {"reduced": "steps 20 instead of 20000"},
        {"recipe": recipe(augment=augment.none)},
        {"recipe": recipe(precision="fp32")},
        {"rewind": partial(rewind.weights, step=0)},
        {"schedule": partial(schedule.iterative, output=0.5, linear=0.5, conv=0.1)},
    ],
)
def test_the_name_of_a_job_stays_the_same_when_the_science_does(changes: dict[str, Any]) -> None:
    assert replace(JOB, **changes).identity == JOB.identity


def test_the_name_of_a_job_changes_with_the_science() -> None:
    jobs = [
        JOB,
        replace(JOB, recipe=recipe(steps=21)),
        replace(JOB, recipe=recipe(optimizer=adam)),
        replace(JOB, recipe=recipe(augment=augment.flip_crop)),
        replace(JOB, recipe=recipe(precision="bf16")),
        replace(JOB, init=init.kaiming_normal),
        replace(JOB, criterion=criterion.random),
        replace(JOB, distribution=distribution.globally),
        replace(JOB, structure=structure.n_of_m),
        replace(JOB, schedule=partial(schedule.iterative, linear=0.5, output=0.4)),
        replace(JOB, rewind=partial(rewind.weights, step=1)),
        replace(JOB, levels=[0, 2]),
    ]
    assert len({one.identity for one in jobs}) == len(jobs)


def test_replicates_are_different_ones() -> None:
    for wrong in ([], [1, 2, 1]):
        with pytest.raises(UserError, match="give different ones"):
            replace(JOB, replicates=wrong)


def softmax(shape: Sequence[int], classes: int) -> nn.Module:
    return nn.Sequential(small.net(shape, classes), nn.Softmax(1))


class Norm(nn.Module):
    """Divide by the deviation over a batch."""

    def forward(self, x: Tensor) -> Tensor:
        return x / x.std(0)


def mixed(shape: Sequence[int], classes: int) -> nn.Module:
    return nn.Sequential(small.net(shape, classes), Norm())


def noisy_net(shape: Sequence[int], classes: int) -> nn.Module:
    net = small.net(shape, classes)
    net.register_forward_hook(lambda _, __, outputs: outputs + torch.randn_like(outputs))
    return net


def test_a_net_whose_outputs_depend_on_the_batch_is_named_and_a_random_one_is_not() -> None:
    (said,) = job.of_outputs(recipe(model=mixed))
    assert said == (
        "outputs of the net depend on the other examples of a batch (batch norm without running statistics, say): its "
        "accuracies are those of batches of 1000 examples, or of 125 images, in their order"
    )
    assert [*job.of_outputs(recipe(model=noisy_net))] == []


def test_a_net_that_gives_probabilities_is_named() -> None:
    assert [*job.of_outputs(JOB.recipe)] == []
    (said,) = job.of_outputs(recipe(model=softmax))
    assert said.startswith("the net gives probabilities (its outputs sum to 1), and the loss takes logits")


def test_a_net_with_outputs_that_are_no_class_is_named() -> None:
    (said,) = job.of_outputs(recipe(model=lambda shape, classes: small.net(shape, classes + 4)))
    assert said == "the net has 7 outputs, and tiny has 3 classes"


def test_splits_that_are_the_same_and_examples_that_are_twice_in_a_batch_are_named() -> None:
    assert [*job.of_data(JOB.recipe)] == []
    few = small.DATA.train.take(np.arange(12))
    said = [*job.of_data(recipe(data=replace(small.DATA, train=few, test=few), batch_size=30))]
    assert said == [
        "the training and the test set of tiny have the same inputs: hold out others",
        "batch_size=30: the training set of tiny has 12 examples, so that a step takes each of them about 2.5 times",
    ]


def test_inputs_that_are_all_the_same_are_named() -> None:
    train = small.DATA.train
    constant = replace(train, source=np.full_like(train.inputs, 7))
    assert [*job.of_data(recipe(data=replace(small.DATA, train=constant)))] == [
        "all inputs of the training set of tiny are the same: nothing can be learned from them"
    ]


def test_examples_of_one_class_of_several_are_named() -> None:
    train = replace(small.DATA.train, targets=np.zeros_like(small.DATA.train.targets))
    assert [*job.of_data(recipe(data=replace(small.DATA, train=train)))] == [
        "the training set of tiny has examples of one class only: there is nothing to learn"
    ]


def test_what_is_reduced_is_written_into_every_row_and_changes_no_training(tmp_path: Path) -> None:
    reduced = replace(JOB, levels=1, reduced="steps 20 instead of 20000")
    full = ran(replace(JOB, levels=1), tmp_path / "full")
    assert [t.facts["digest"] for t in ran(reduced, tmp_path / "reduced")] == [t.facts["digest"] for t in full]
    assert list(table.tickets(tmp_path / "reduced")["reduced"]) == ["steps 20 instead of 20000"] * 2
    assert "reduced" not in table.tickets(tmp_path / "full")


@pytest.mark.parametrize(
    ("changes", "columns"),
    [
        ({}, {}),
        ({"augment": augment.none}, {}),
        ({"augment": partial(augment.none)}, {}),
        ({"augment": augment.flip_crop}, {"augment": "flip_crop"}),
        ({"augment": partial(augment.flip_crop, pad=4)}, {"augment": "flip_crop"}),
        ({"augment": partial(augment.flip_crop, pad=2)}, {"augment": "flip_crop", "augment.pad": 2}),
        ({"precision": "fp32"}, {}),
        ({"precision": "bf16"}, {"precision": "bf16"}),
    ],
)
def test_augmentation_and_precision_have_a_column_when_they_are_not_the_usual_ones(
    changes: dict[str, Any], columns: dict[str, Any]
) -> None:
    found = replace(JOB, recipe=recipe(**changes)).columns
    assert {key: value for key, value in found.items() if key not in replace(JOB, recipe=recipe()).columns} == columns


@pytest.mark.parametrize(
    ("of", "text"),
    [(criterion.movement, "movement"), (partial(criterion.grasp, temperature=100), "grasp(temperature=100)")],
)
def test_a_column_names_a_function_that_another_one_takes(of: Any, text: str) -> None:
    found = replace(JOB, criterion=partial(criterion.inverted, of=of)).columns
    assert (found["criterion"], found["criterion.of"]) == ("inverted", text)


def test_more_levels_add_to_the_same_record(tmp_path: Path) -> None:
    for count in (1, 2):
        ran(replace(JOB, levels=count), tmp_path)
    (record,) = shell.records(tmp_path)
    assert list(record["rows"]) == ["ticket/0/0", "ticket/0/1", "ticket/0/2"]


def test_a_result_says_what_it_was_made_from(tmp_path: Path) -> None:
    trained = ran(replace(JOB, levels=0), tmp_path)[0]
    result = read_result(tmp_path / "trained" / trained.facts["digest"])
    assert result["recipe"]["steps"] == 20
    assert result["recipe"]["optimizer"]["function"] == "small.sgd"
    assert result["ticket"]["layers"] == {"1.weight": [128, 128], "3.weight": [48, 48], "5.weight": [18, 18]}
    assert {"python", "torch", "machine", "commit", "date"} <= result["environment"].keys()
    assert json.loads(json.dumps(result["recipe"])) == result["recipe"]


# ---- several replicates in one process


BOTH = replace(JOB, replicates=[1, 2], branches={"shuffle": replace(SHUFFLE, draws=2)})


@pytest.mark.long
def test_all_replicates_branches_and_draws_of_a_level_are_trained_in_one_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lists: list[list[str]] = []
    train = engine.train

    def watched(tickets: list[Ticket], **options: Any) -> list[Trained]:
        lists.append([f"{t.branch} {t.replicate} {t.draw}" for t in tickets])
        return train(tickets, **options)

    monkeypatch.setattr(engine, "train", watched)
    ran(replace(BOTH, levels=1), tmp_path)
    shuffled = ["shuffle 1 0", "shuffle 1 1", "shuffle 2 0", "shuffle 2 1"]
    assert lists == [["ticket 1 0", "ticket 2 0"], ["ticket 1 0", "ticket 2 0"], shuffled]


@pytest.mark.long
def test_side_by_side_a_job_gives_what_it_gives_one_after_the_other(tmp_path: Path) -> None:
    both = replace(JOB, replicates=[1, 2], branches={"reinitialize": Branch(branch.reinitialize, draws=2)})
    alone, stacked = (ran(replace(both, width=width), tmp_path / f"{width}") for width in (1, 3))
    assert sorted(levels(stacked)) == sorted(levels(alone))
    facts = [{t.facts["digest"]: t.evaluations["test_loss"].iloc[-1] for t in done} for done in (alone, stacked)]
    assert facts[0].keys() == facts[1].keys()
    assert all(abs(facts[0][name] - facts[1][name]) < 1e-5 for name in facts[0])
    again = ran(replace(both, width=1), tmp_path / "3")
    assert all(trained.facts["stored"] for trained in again)


@pytest.mark.long
def test_branches_wait_for_a_full_stack(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    calls: list[list[tuple[str, int]]] = []
    train = engine.train

    def watched(tickets: list[Ticket], **options: Any) -> list[Trained]:
        calls.append([(ticket.branch, ticket.level) for ticket in tickets])
        return train(tickets, **options)

    monkeypatch.setattr(engine, "train", watched)
    many = replace(JOB, levels=4, width=2, branches={"reinitialize": REINITIALIZE})
    ran(many, tmp_path)
    r, t = "reinitialize", "ticket"
    assert calls == [[(t, 0)], [(t, 1)], [(t, 2)], [(r, 1), (r, 2)], [(t, 3)], [(t, 4)], [(r, 3), (r, 4)]]
    calls.clear()
    ran(replace(many, width=3), tmp_path / "3")
    assert calls == [[(t, 0)], [(t, 1)], [(t, 2)], [(t, 3)], [(r, 1), (r, 2), (r, 3)], [(t, 4)], [(r, 4)]]


@pytest.mark.long
def test_replicates_of_one_process_are_those_of_a_sweep(tmp_path: Path) -> None:
    together = ran(BOTH, tmp_path / "together")
    for replicate in (1, 2):
        ran(replace(BOTH, replicates=[replicate]), tmp_path / "alone")
    assert shell.results(tmp_path / "together") == shell.results(tmp_path / "alone")
    assert sorted(job.place(t.ticket) for t in together) == sorted(BOTH.places())


def infinite_for_2(net: nn.Module, number: int) -> Weights:
    """Glorot, but with an infinite bias for replicate 2."""
    weights = init.glorot_normal(net, number)
    return weights | ({"1.bias": torch.full((8,), torch.inf)} if number == seed("init", 2) else {})


@pytest.mark.long
def test_when_one_ticket_diverges_it_is_named_and_the_others_go_on(tmp_path: Path) -> None:
    failures: list[str] = []

    class Listening(Callback):
        def failed(self, ticket: Ticket, error: ArithmeticError) -> None:
            failures.append(f"{ticket}: {error}")

    diverging = replace(JOB, replicates=[1, 2, 3], init=infinite_for_2)
    trained = job.run(diverging, Store(tmp_path), Listening(), lambda _: None)
    assert [(t.ticket.replicate, t.ticket.level) for t in trained] == [(r, n) for n in range(3) for r in (1, 3)]
    assert len(failures) == 1
    assert failures[0].startswith("ticket, replicate 2, level 0: the validation loss is nan before the first step")
    with pytest.raises(engine.NonFiniteLoss):
        job.run(diverging, Store(tmp_path / "loud"), Callback(), lambda _: None)


# ---- the user's own code

MINE = "def smallest(net, trained, batch):\n    return {name: -w.abs() for name, w in trained.weights().items()}\n"


@pytest.mark.long
def test_an_edit_of_the_users_own_function_is_trained_again_and_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    caplog.set_level("INFO", "lth")

    def run_with(text: str) -> list[str]:
        (tmp_path / "mine.py").write_text(text)
        sys.modules.pop("mine", None)
        importlib.invalidate_caches()
        what, store = replace(JOB, criterion=importlib.import_module("mine").smallest), Store(tmp_path / "runs")
        caplog.clear()
        job.status(what, store, "running")
        return [t.facts["digest"] for t in job.run(what, store, Callback(), lambda _: None)]

    first = run_with(MINE)
    assert caplog.messages == []
    assert run_with("# a comment\n" + MINE) == first
    assert caplog.messages == []
    edited = run_with(MINE.replace("-w.abs()", "w.abs()"))
    (message,) = caplog.messages
    assert message.startswith("mine.smallest changed in mine.py: its older results are stale")
    assert (edited[0], len(set(first) & set(edited))) == (first[0], 1)  # the dense net does not depend on it
    assert run_with(MINE) == first
    assert caplog.messages == []


def test_a_version_of_a_function_of_lth_is_part_of_the_name_when_its_meaning_has_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = JOB.identity
    assert digest_module.describe(rewind.weights) == {"function": "rewind.weights"}
    monkeypatch.setitem(digest_module.VERSIONS, "rewind.weights", 2)
    assert digest_module.describe(rewind.weights) == {"function": "rewind.weights", "version": 2}
    assert replace(JOB).identity != before


def test_a_diverging_ticket_is_trained_once_though_several_draws_are_the_same(tmp_path: Path) -> None:
    failures: list[str] = []

    class Listening(Callback):
        def failed(self, ticket: Ticket, error: ArithmeticError) -> None:
            failures.append(ticket.branch)

    def infinite(net: nn.Module, number: int) -> Weights:
        return {name: torch.full_like(w, torch.inf) for name, w in net.state_dict().items()}

    trained = job.run(JOB, Store(tmp_path), Callback(), lambda _: None)
    (start,) = [replace(t.ticket, weights=infinite(JOB.recipe.net(), 0)) for t in trained if t.ticket.level == 0]
    cached = Store(tmp_path).cached(partial(engine.train, recipe=JOB.recipe, callback=Listening()), JOB.recipe)
    assert cached([start, replace(start, branch="again"), replace(start, draw=1)]) == []
    assert failures == ["ticket"]


def test_a_quantization_to_no_bits_trains_nothing() -> None:
    assert Branch(branch.shuffle, bits=[]).places("aware", 1, 1) == []
    assert Branch(branch.shuffle).places("shuffle", 1, 1) == [job.Place(1, 1, "shuffle")]
