"""debug=true: few steps on few examples, all paths, apart from the results themselves."""

from typing import Any

import pytest
from shell import run

from lth.cli.config import jobs
from lth.cli.config.compose import validated
from lth.cli.config.conf import plain
from lth.job import Job
from lth.store.digest import describe


def trial(*overrides: str) -> dict[str, Any]:
    return plain(validated(["debug=true", *overrides])[0])


def job(*overrides: str) -> Job:
    ((found, _),) = jobs(overrides)
    return found


def test_a_trial_has_few_steps_levels_and_examples_and_a_name_of_its_own() -> None:
    of = job("debug=true", "levels=20", "steps=50000", "name=mine")
    assert (of.name, of.levels, of.recipe.steps, of.recipe.evaluate_every) == ("mine-debug", 2, 10, 5)
    assert (len(of.recipe.data.train), len(of.recipe.data.test), of.recipe.batch_size) == (100, 100, 20)
    assert of.columns["reduced"] == "debug=true: 10 steps, 100 examples"


def test_what_is_smaller_still_stays() -> None:
    of = trial("steps=4", "levels=1", "batch_size=3", "evaluate_every=2", "data.limit=7", "rewind.step=3")
    assert [of[key] for key in ("steps", "levels", "batch_size", "evaluate_every")] == [4, 1, 3, 2]
    assert (of["data"]["limit"], of["rewind"]["step"]) == (7, 3)


@pytest.mark.long
def test_without_it_nothing_changes() -> None:
    assert plain(validated([])[0]) == {**plain(validated(["traceback=true"])[0]), "traceback": False}
    assert describe(job().recipe) == describe(job("traceback=true").recipe)


@pytest.mark.long
def test_numbers_of_steps_shrink_with_the_training() -> None:
    of = trial("lr=drop", "lr.at=[100,500,999]", "lr.warmup=200", "rewind.step=1", "updater=gradual")
    assert (of["lr"]["at"], of["lr"]["warmup"], of["rewind"]["step"]) == ([1, 5, 9], 2, 1)
    assert [of["updater"][key] for key in ("begin", "end", "every")] == [0, 5, 1]
    moving = trial("updater=rigl")["updater"]
    assert [moving[key] for key in ("every", "end")] == [1, 7]
    longer = ["rewind=fine_tune", "rewind.steps=90000", "rewind.rate=last"]
    assert trial(*longer)["rewind"]["steps"] == 10
    assert trial("levels=5", "train_from=4")["train_from"] == 2
    assert trial("lr=cosine")["lr"]["steps"] == 10
    assert trial("lr=cosine", "lr.steps=500")["lr"]["steps"] == 5


@pytest.mark.long
@pytest.mark.parametrize("name", ["frankle2019_fig1", "frankle2019_fig7", "han2015_fig5", "quantization", "structure"])
def test_experiments_of_papers_can_be_tried(name: str) -> None:
    of = trial(f"experiment={name}")
    assert (of["name"], of["steps"]) == (f"{name}-debug", 10)
    assert of["rewind"].get("steps", 0) <= 10
    entries = [*(of.get("branch") or {}).values(), *(of.get("quantization") or {}).values()]
    for entry in [entry for entry in entries if "transform" in entry]:
        assert (entry["levels"], entry.get("draws", 1)) == (None, 1)
        assert entry["transform"].get("steps", 0) <= 10


@pytest.mark.long
def test_a_trial_of_children_compares_two_of_the_dense_net_too() -> None:
    of = trial("experiment=frankle2020_connectivity")
    assert of["branch"]["connect"]["levels"] == [0, 1, 2]
    assert of["branch"]["connect_shuffle"]["levels"] is None
    assert (of["branch"]["connect"]["draws"], of["branch"]["connect"]["compare"]["examples"]) == (2, 100)


def test_a_step_whose_weights_a_branch_takes_shrinks_with_the_training() -> None:
    of = trial("experiment=gadhikar2024_signs")["branch"]
    steps = {name: of[name]["transform"].get("step") for name in ("signs_early", "signs_end", "reset", "continued")}
    assert steps == {"signs_early": 1, "signs_end": 10, "reset": None, "continued": None}


@pytest.mark.long
def test_a_trial_trains_every_branch_and_is_found_again(capsys: pytest.CaptureFixture[str]) -> None:
    given = ["debug=true", "steps=1000", "branch=[shuffle]", "quantization=[aware]", "quantization.aware.bits=[8]"]
    assert run(*given, "steps=1000") == 0
    said = capsys.readouterr().out
    assert "### first_ticket-debug" in said
    assert [said.count(f"{branch}, replicate 1") for branch in ("ticket", "shuffle", "aware")] == [2, 1, 2]
    assert run(*given, "steps=1000") == 0
    assert capsys.readouterr().out.count("stored") == 5
