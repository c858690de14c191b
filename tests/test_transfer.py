"""Tickets of one run as the start of another: what goes along, what is refused, what is trained and where it is."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shell
import torch
from small import DATA, Stop, adam, recipe, same, split
from torch import Tensor

from lth import UserError, branch, cli, criterion, distribution, engine, init, job, rewind, schedule, structure
from lth.cli.config import jobs
from lth.data import Data, Split
from lth.engine import Callback, Interrupted
from lth.imp import dense
from lth.job import Branch, Job
from lth.schedule import Ladder
from lth.seed import seed
from lth.store import Store, table
from lth.store.digest import digest
from lth.store.status import status
from lth.ticket import Ticket, Trained, remaining
from lth.transfer import check_step, transferred

SOURCE = Job(
    name="small",
    recipe=recipe(),
    init=init.glorot_normal,
    criterion=criterion.magnitude,
    distribution=distribution.by_kind,
    structure=structure.weight,
    schedule=partial(schedule.iterative, linear=0.5, output=0.5),
    rewind=partial(rewind.weights, step=5),
    levels=2,
    device="cpu",
)
OTHER = replace(SOURCE, name="other", recipe=recipe(optimizer=adam), criterion=criterion.random, start=SOURCE)
CONTROLS = {"shuffle": Branch(branch.shuffle), "reinitialize": Branch(branch.reinitialize)}


def five_classes(seed: int, size: int) -> Split:
    """The images of `small.split` with other labels, 0 to 4."""
    images = split(seed, size).source
    return Split(np.asarray(images), np.arange(size) % 5)


FIVE = Data(
    "five", train=five_classes(1, 50), validation=five_classes(2, 20), test=five_classes(3, 20), scaling="standardize"
)


def ran(what: Job, root: Path, callback: Callback | None = None, **given: Any) -> list[Trained]:
    return job.run(what, Store(root), callback or Callback(), lambda _: None, **given)


def line(trained: list[Trained]) -> dict[int, Ticket]:
    return {t.ticket.level: t.ticket for t in trained if t.ticket.branch == "ticket"}


def entries(root: Path) -> set[str]:
    return {folder.name for folder in (root / "trained").iterdir() if (folder / "result.json").exists()}


def counts(mask: Mapping[str, Tensor]) -> list[int]:
    return [int(kept.sum()) for kept in mask.values()]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Trained], list[Trained], Path]:
    """The source on its own, and a run with controls that starts from it, in another store."""
    own, there = tmp_path_factory.mktemp("own"), tmp_path_factory.mktemp("there")
    return ran(SOURCE, own), ran(replace(OTHER, branches=CONTROLS), there), there


# ---- what goes along


@pytest.mark.long
def test_mask_weights_and_step_of_every_level_are_those_of_the_source_bit_for_bit(both: Any) -> None:
    theirs, ours = line(both[0]), line(both[1])
    assert ours.keys() == theirs.keys() == {0, 1, 2}
    for level, ticket in ours.items():
        assert same(ticket.weights, theirs[level].weights)
        assert same(ticket.mask, theirs[level].mask)
        assert (ticket.step, ticket.replicate) == (5 if level else 0, 1)


def test_a_ticket_is_trained_as_its_new_recipe_says(both: Any) -> None:
    last = both[1][-3]
    (alone,) = engine.train([line(both[0])[2]], recipe=OTHER.recipe, device="cpu")
    assert (last.ticket.branch, last.ticket.level) == ("ticket", 2)
    assert alone.evaluations.equals(last.evaluations)
    assert same(alone.weights(), last.weights())


def test_the_digest_is_that_of_the_new_recipe_and_the_ticket(both: Any) -> None:
    theirs = line(both[0])
    found = {t.ticket.level: t.facts["digest"] for t in both[1] if t.ticket.branch == "ticket"}
    assert found == {level: digest(OTHER.recipe, ticket) for level, ticket in theirs.items()}
    assert found[0] == digest(OTHER.recipe, dense(OTHER.recipe, OTHER.init))  # that of its own dense net


def test_controls_are_those_of_the_ticket(both: Any) -> None:
    theirs = line(both[0])
    assert {t.ticket.branch for t in both[1]} >= {"shuffle", "reinitialize"}
    for each in [t.ticket for t in both[1] if t.ticket.branch == "shuffle"]:
        assert same(each.weights, theirs[each.level].weights)
        assert counts(each.mask) == counts(theirs[each.level].mask)
        assert not same(each.mask, theirs[each.level].mask)
    for each in [t.ticket for t in both[1] if t.ticket.branch == "reinitialize"]:
        drawn = init.glorot_normal(OTHER.recipe.net(), seed("reinitialize", 1, each.level, 0))
        assert same(each.mask, theirs[each.level].mask)
        assert same(each.weights, drawn)


def test_for_another_number_of_classes_the_last_layer_is_drawn_anew_and_keeps_all_of_its_weights() -> None:
    there, here = recipe(), recipe(data=FIVE)
    ticket = replace(dense(there, init.glorot_normal, 7), step=3, level=1)
    ticket = replace(ticket, mask={name: m & (torch.rand(m.shape) < 0.5) for name, m in ticket.mask.items()})
    found = transferred(ticket, source=there, recipe=here, init=init.glorot_normal)
    own, head = dense(here, init.glorot_normal, 7), {"5.weight", "5.bias"}
    assert {n: tuple(w.shape) for n, w in found.weights.items() if n in head} == {"5.weight": (5, 6), "5.bias": (5,)}
    assert all(torch.equal(found.weights[name], own.weights[name]) for name in head)
    assert found.mask["5.weight"].all()
    for name in ticket.weights.keys() - head:
        assert torch.equal(found.weights[name], ticket.weights[name])
    for name in ticket.mask.keys() - head:
        assert torch.equal(found.mask[name], ticket.mask[name])
    assert (found.step, found.level, found.replicate) == (3, 1, 7)


def test_for_the_same_number_of_classes_the_last_layer_goes_along() -> None:
    ticket = dense(recipe(), init.glorot_normal)
    other = Data("other", DATA.train, DATA.validation, DATA.test, scaling="standardize")
    found = transferred(ticket, source=recipe(), recipe=recipe(data=other), init=init.kaiming_normal)
    assert same(found.weights, ticket.weights)


def test_a_data_set_is_scaled_by_its_own_statistics() -> None:
    start = replace(SOURCE, recipe=recipe(data=DATA))
    here = replace(SOURCE, recipe=recipe(data=FIVE), start=start)
    assert here.recipe.data.example(50).mean().abs() < 1e-5  # "standardize"; the source has it in [0, 1]
    assert start.recipe.data.example(50).min() >= 0


# ---- what is trained, and where it is recorded


def test_the_source_is_trained_as_far_as_needed_and_recorded_as_its_own_run(both: Any) -> None:
    rows = table.tickets(both[2])
    assert rows.groupby(["experiment", "branch"])["level"].apply(list).to_dict() == {
        ("other", "reinitialize"): [1, 2], ("other", "shuffle"): [1, 2], ("other", "ticket"): [0, 1, 2],
        ("small", "ticket"): [0, 1],
    }  # fmt: skip
    (small,) = [each for each in status(both[2])[0] if each.experiment == "small"]
    assert (small.state, small.trainings, small.planned) == ("done", 2, 2)
    before = entries(both[2])
    ran(SOURCE, both[2])
    assert len(entries(both[2]) - before) == 1  # its last level


def test_what_the_source_has_trained_is_not_trained_again(tmp_path: Path) -> None:
    ran(SOURCE, tmp_path)
    record = next((tmp_path / "experiments" / "small").glob("*.json"))
    before, trained = record.read_bytes(), entries(tmp_path)
    seen: list[Trained] = []
    ours = ran(OTHER, tmp_path, sourced=seen.append)
    assert entries(tmp_path) == trained | {each.facts["digest"] for each in ours}
    assert [(t.ticket.branch, t.ticket.level, t.facts["stored"]) for t in seen] == [
        ("source", 0, True),
        ("source", 1, True),
    ]
    assert record.read_bytes() == before


@pytest.mark.long
def test_replicate_r_takes_the_tickets_of_replicate_r(tmp_path: Path) -> None:
    theirs, ours = (ran(replace(each, replicates=[2, 3], levels=1), tmp_path) for each in (SOURCE, OTHER))
    pairs = [(a.ticket, b.ticket) for a in theirs for b in ours if a.ticket.replicate == b.ticket.replicate]
    assert [same(a.mask, b.mask) for a, b in pairs if a.level == b.level == 1] == [True, True]


@pytest.mark.long
def test_the_results_do_not_depend_on_where_the_run_was_interrupted(tmp_path: Path, both: Any) -> None:
    """At step 12 of the source's dense net; the run's own has ended by then."""
    with pytest.raises(Interrupted):
        ran(OTHER, tmp_path, StopsInSource(12))
    assert {each.experiment: each.state for each in status(tmp_path)[0]}["small"] == "stopped"
    assert [t.ticket.level for t in job.stored(OTHER, Store(tmp_path))] == [0]
    again = ran(OTHER, tmp_path)
    whole = {t.facts["digest"]: t for t in both[1]}
    assert all(t.evaluations.equals(whole[t.facts["digest"]].evaluations) for t in again)
    assert {each.experiment: each.state for each in status(tmp_path)[0]}["small"] == "done"
    assert [t.ticket.level for t in job.stored(OTHER, Store(tmp_path))] == [0, 1, 2]


def test_a_source_is_done_though_the_run_is_interrupted_behind_it(tmp_path: Path) -> None:
    class StopsAtLevel2(Callback):
        def stepped(self, ticket: Ticket, step: int, steps: int) -> None:
            if ticket.level == 2:
                raise Interrupted

    with pytest.raises(Interrupted):
        ran(OTHER, tmp_path, StopsAtLevel2())
    assert {each.experiment: each.state for each in status(tmp_path)[0]}["small"] == "done"


class StopsInSource(Stop):
    """Interrupts when a ticket of the source has reached a step."""

    def stepped(self, ticket: Ticket, step: int, steps: int) -> None:
        if ticket.branch == "source":
            super().stepped(ticket, step, steps)


def test_nothing_is_found_in_an_empty_store_and_nothing_is_trained_by_looking(tmp_path: Path) -> None:
    assert job.stored(OTHER, Store(tmp_path)) == []
    assert not (tmp_path / "trained").exists()


def test_weights_that_were_not_kept_are_trained_again(tmp_path: Path, both: Any) -> None:
    found = job.run(OTHER, Store(tmp_path, keep="none"), Callback(), lambda _: None)
    assert [t.facts["digest"] for t in found] == [t.facts["digest"] for t in both[1] if t.ticket.branch == "ticket"]


def test_some_levels_of_a_ladder_that_is_climbed_step_by_step(tmp_path: Path) -> None:
    some = ran(replace(OTHER, levels=[2]), tmp_path)
    assert [t.ticket.level for t in some] == [0, 2]
    assert remaining(some[1].ticket.mask) == 48  # 16 x 8, 8 x 6, 6 x 3 weights: 32 + 12 + 4
    assert table.tickets(tmp_path, "small")["level"].tolist() == [0, 1]


def test_tickets_that_are_pruned_untrained_need_no_training_of_the_source(tmp_path: Path) -> None:
    early = replace(SOURCE, train_from=1, levels=1, rewind=rewind.weights)
    found = ran(replace(OTHER, levels=1, start=early), tmp_path)
    assert [t.ticket.level for t in found] == [1]
    assert set(table.tickets(tmp_path)["experiment"]) == {"other"}


def test_a_training_of_the_source_that_diverges_fails_its_replicate_alone(tmp_path: Path) -> None:
    """The loss is infinite in the source's dense net of replicate 2."""
    diverging = replace(SOURCE, init=infinite_for_2)
    lines: list[str] = []

    class Listening(Callback):
        def failed(self, ticket: Ticket, error: ArithmeticError) -> None:
            lines.append(str(ticket))

    found = ran(replace(OTHER, start=diverging, replicates=[1, 2], levels=1), tmp_path, Listening())
    assert lines == ["ticket, replicate 2, level 0", "source, replicate 2, level 0"]
    assert [(t.ticket.replicate, t.ticket.level) for t in found] == [(1, 0), (1, 1)]
    states = {each.words: each.state for each in status(tmp_path)[0] if each.experiment == "small"}
    assert states == {"replicate=1": "done", "replicate=2": "failed"}


def infinite_for_2(net: torch.nn.Module, number: int) -> dict[str, Tensor]:
    weights = init.glorot_normal(net, number)
    factor = torch.inf if number == seed("init", 2) else 1.0
    return {name: w * factor if name.endswith("weight") else w for name, w in weights.items()}


def test_a_part_of_a_ladder_leads_to_its_levels() -> None:
    def density(level: int, kind: str) -> float:
        return 0.5**level

    steps, shot = Ladder({0: (1,), 1: (2,), 2: (3,)}, density), Ladder({0: (1, 2, 3), 3: (4, 5)}, density)
    assert steps.towards([0, 2]).children == {0: (1,), 1: (2,)}
    assert shot.towards([2, 5]).children == {0: (2, 3), 3: (5,)}
    assert shot.towards([0]).children == {}
    assert Ladder({0: (1,), 1: (2,)}, density, rounds=100).towards([1]) == Ladder({0: (1,)}, density, rounds=100)


# ---- what identifies it


def test_columns_say_in_what_the_source_differs_and_criterion_and_rewinding_are_its_own() -> None:
    assert {name: value for name, value in OTHER.columns.items() if name.startswith("start")} == {
        "start.optimizer": "sgd"
    }
    faster = replace(SOURCE, recipe=recipe(optimizer=partial(adam, lr=0.5)), start=there())
    assert {name: value for name, value in faster.columns.items() if name.startswith("start")} == {
        "start.optimizer.lr": 0.01
    }
    assert (OTHER.columns["criterion"], OTHER.columns["rewind.step"]) == ("magnitude", 5)
    data = replace(SOURCE, recipe=recipe(data=FIVE), start=SOURCE).columns
    assert {name: data[name] for name in data if name.startswith("start")} == {
        "start.data": "tiny", "start.scaling": "unit",
    }  # fmt: skip
    shorter = replace(SOURCE, recipe=recipe(steps=10), reduced="steps 10 instead of 20")
    found = replace(SOURCE, start=shorter).columns
    assert (found["start.steps"], found["reduced"]) == (10, "steps 10 instead of 20")
    unnamed = Data("tiny", DATA.test, DATA.validation, DATA.train, scaling="unit")
    start = replace(SOURCE, recipe=recipe(data=unnamed))
    assert replace(SOURCE, start=start).columns["start"] == start.identity[:8]


def test_the_name_of_a_run_depends_on_its_start_and_not_on_the_number_of_levels() -> None:
    alone = replace(OTHER, start=None, criterion=SOURCE.criterion)
    assert alone.identity != OTHER.identity
    assert replace(OTHER, levels=1).identity == OTHER.identity
    assert replace(OTHER, start=replace(SOURCE, levels=7, name="x", replicates=[4])).identity == OTHER.identity
    assert replace(OTHER, start=replace(SOURCE, init=init.kaiming_normal)).identity != OTHER.identity
    json.dumps(OTHER.description)


def test_a_plan_counts_each_training_of_runs_that_share_a_source_once() -> None:
    plans = [job.trainings(each) for each in (SOURCE, OTHER, replace(OTHER, start=None, criterion=SOURCE.criterion))]
    # 3 of the source, of which a run that starts from it needs 2; the dense nets of both other runs are the same
    assert [len(plan) for plan in plans] == [3, 5, 3]
    assert len(set().union(*plans)) == 3 + 3 + 2
    assert sorted(plans[1].values()) == [15, 15, 15, 20, 20]


# ---- what is refused, before anything is trained


def there(**changes: Any) -> Job:
    return replace(SOURCE, recipe=recipe(optimizer=adam, **changes))


def shape(*sides: int) -> Data:
    parts = [np.random.default_rng(0).integers(0, 255, (n, *sides)).astype(np.uint8) for n in (50, 20, 20)]
    return Data("shaped", *(Split(part, np.arange(len(part)) % 3) for part in parts), scaling="unit")


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: replace(SOURCE, start=SOURCE), "trains as this one does, .*; name what differs"),
        (lambda: replace(SOURCE, start=OTHER), "takes its own tickets from a third run"),
        (lambda: replace(OTHER, levels=3), r"levels=3: .* has levels=2 and no level 3; give fewer"),
        (lambda: replace(OTHER, start=replace(SOURCE, levels=[2])), r"levels=\[2\] and no level 1"),
        (lambda: replace(SOURCE, start=there(data=shape(1, 5, 4))),
         r"1.weight is 8 x 20 there and 8 x 16 here, for inputs of 1 x 5 x 4 there and 1 x 4 x 4 here"),
        (lambda: replace(SOURCE, start=there(model=partial(recipe().model.func, hidden=(8, 7)))),
         r"3.bias is 7 there and 6 here: a ticket fits"),
        (lambda: replace(SOURCE, start=there(model=partial(recipe().model.func, hidden=(8,)))),
         r"5.bias is only here"),
        (lambda: replace(OTHER, recipe=recipe(optimizer=adam, steps=4)), "begin at step 5, and training here has 4"),
        (lambda: replace(OTHER, branches={"supermask": Branch(branch.supermask)}), "branch=supermask looks at"),
    ],
)  # fmt: skip
def test_tickets_that_do_not_fit_are_refused(make: Callable[[], Job], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        make()


def test_a_ticket_of_a_rewinding_of_the_users_own_is_refused_where_training_has_ended(tmp_path: Path) -> None:
    late = replace(SOURCE, rewind=mine)
    with pytest.raises(UserError, match="begin at step 9, and training here has 8 steps"):
        ran(replace(OTHER, recipe=recipe(steps=8), start=late), tmp_path)


def mine(trained: Trained) -> tuple[Any, int]:
    return trained.ticket.weights, 9


@pytest.mark.long
def test_no_net_of_the_run_is_called_the_one_before_pruning(tmp_path: Path) -> None:
    compared = Branch(branch.shuffle, compare=alone)
    for start in (None, SOURCE):
        root = tmp_path / str(start is None)
        ran(replace(OTHER, start=start, levels=1, branches={"shuffle": compared}), root)
        rows = table.tickets(root, "other").set_index("branch")
        assert bool(rows.loc["shuffle", "distance"]) == (start is not None)


def alone(net: Any, nets: Any, mask: Any, data: Any, task: Any, *, before: Any, **unused: Any) -> list[dict[str, bool]]:
    """Measure, as a distance, whether there is no net before."""
    return [{"distance": before is None} for _ in nets]


# ---- the command line


@pytest.mark.long
def test_one_command_trains_the_source_and_the_run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lth.cli.results.show", lambda *_: None)  # figures take seconds
    arguments = ["start=optimizer=sgd optimizer.lr=0.3", "branch=[shuffle]", "data.limit=100"]
    assert shell.run(*arguments, "plan=true") == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [(each[0], each[2], each[3]) for each in lines[:4]] == [
        ("source", "0", "to"), ("ticket", "0", "to"), ("ticket", "1", "to"), ("shuffle", "1", "to"),
    ]  # fmt: skip
    assert shell.run(*arguments) == 0
    assert "[4/4] shuffle, replicate 1, level 1" in capsys.readouterr().out
    assert shell.run(*arguments, "plan=true") == 0
    assert "4 stored, 0 to train" in capsys.readouterr().out
    rows = table.tickets(Path("runs"))
    assert rows[rows["optimizer"] == "Adam"]["start.optimizer.lr"].tolist() == [0.3, 0.3, 0.3]
    assert rows[rows["optimizer"] == "SGD"]["start.optimizer.lr"].isna().tolist() == [True]
    assert cli.main(["status"]) == 0
    assert "2 jobs, 2 done" in capsys.readouterr().out


@pytest.mark.long
def test_the_source_has_the_overrides_of_the_run_with_its_own_in_their_place() -> None:
    given = ["model=mlp", "model.hidden=[7]", "levels=[1,3]", "steps=9", "replicate=[2,4]", "optimizer.lr=0.5"]
    ((found, _),) = jobs([*given, 'start="optimizer.lr=0.25 levels=3 name=first"'])
    start = found.start
    assert start is not None
    assert (start.name, start.levels, start.recipe.steps, list(start.replicates)) == ("first", 3, 9, [2, 4])
    assert (found.levels, found.recipe.optimizer.keywords["lr"]) == ([1, 3], 0.5)
    assert start.recipe.optimizer.keywords["lr"] == 0.25
    assert "levels" not in found.columns  # each level is pruned from the one before it


@pytest.mark.long
def test_an_arm_of_an_experiment_starts_from_another_also_in_a_trial() -> None:
    more = ["data=mnist_5k", "data.limit=50"]
    ((found, _),) = jobs(["experiment=morcos2019_transfer/sgd_from_adam", *more])
    assert found.start is not None
    assert (found.start.levels, found.start.columns["optimizer"], found.start.columns["optimizer.lr"]) == (
        18, "Adam", 1.2e-3,
    )  # fmt: skip
    ((small, _),) = jobs(["experiment=morcos2019_transfer/sgd_from_adam", *more, "debug=true"])
    assert small.start is not None
    assert (small.levels, small.start.levels, small.recipe.steps, small.start.recipe.steps) == ([3, 7], [3, 7], 10, 10)


@pytest.mark.parametrize(
    ("start", "sentence"),
    [
        ("5", "start=5: give the overrides in which the source run"),
        ("optimizer", "start=optimizer: give the overrides"),
        ('data=mnist "', 'start=data=mnist ": No closing quotation'),
        ("optimizer=sdg", "start=optimizer=sdg: there is no optimizer=sdg"),
        ("optimzer.lr=3", "start=optimzer.lr=3: there is no key 'optimzer.lr'. Did you mean optimizer.lr"),
        ("replicate=2", "both runs have replicate in common; leave replicate=2 out"),
        ("root=x", "both runs have root in common"),
        ("start=data=mnist", "both runs have start in common"),
        ("batch_size=0", "start=batch_size=0: batch_size=0: must be at least 1"),
    ],
)
def test_overrides_that_no_run_can_have_are_refused_and_named(
    start: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shell.run(f"start={start}") == 2
    assert sentence in capsys.readouterr().err
    assert not Path("runs/trained").exists()


@pytest.mark.long
def test_tickets_that_do_not_fit_are_refused_by_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert shell.run("start=model.hidden=[9]") == 1
    assert "1.bias is 9 there and 8 here: a ticket fits" in capsys.readouterr().out
    assert not Path("runs/trained").exists()


@pytest.mark.long
def test_a_sweep_over_starts_and_an_own_configuration_of_the_source(capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path("conf_mine/optimizer")
    folder.mkdir(parents=True)
    (folder / "fast.yaml").write_text("_target_: torch.optim.SGD\n_partial_: true\nlr: 0.7\n")
    given = ["start=optimizer=fast,data.limit=50", "data.limit=60"]
    assert shell.run("-m", *given, "--config-dir=conf_mine", "plan=true") == 0
    # a source's dense net for each, and that of both runs, which is the same; a ticket of level 1 for each
    assert "sweep of 2 jobs: 6 trainings, 5 of them distinct" in capsys.readouterr().out


def test_help_has_a_line_and_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "--help"]) == 0
    found = [line for line in capsys.readouterr().out.splitlines() if "start" in line]
    assert any(line.startswith("  start: null") for line in found)
    assert any("start=data=mnist " in line for line in found)


def test_a_ticket_may_begin_at_the_last_step_and_not_later() -> None:
    check_step(20, recipe(steps=20))
    with pytest.raises(UserError, match="begin at step 21"):
        check_step(21, recipe(steps=20))
