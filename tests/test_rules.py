"""Settings that do not go together: a job that is made in Python is refused as a configuration is."""

import re
from dataclasses import is_dataclass, replace
from functools import partial
from typing import Any

import pytest
from small import recipe
from test_job import JOB
from test_signature import composed

from lth import (
    UserError,
    branch,
    connectivity,
    criterion,
    distribution,
    init,
    rewind,
    schedule,
    stop,
    structure,
    updater,
)
from lth.cli.config.compose import compositions
from lth.cli.config.conf import active
from lth.cli.config.settings import settings as configured
from lth.cli.config.values import started
from lth.job import Branch
from lth.job.settings import settings
from lth.rules import of_function

RIGL = recipe(updater=partial(updater.rigl, every=5, end=15))
GRADUAL = recipe(updater=partial(updater.gradual, every=5, end=15))
ONCE = partial(schedule.one_shot, linear=0.5, output=0.5)


def listed(of: Any) -> Any:
    """Settings with lists for tuples, as a configuration has them, and without the task, which is no key of one."""
    if isinstance(of, list | tuple):
        return [*map(listed, of)]
    values = of if isinstance(of, dict) else vars(of) if is_dataclass(of) else None
    return of if values is None else {name: listed(value) for name, value in values.items() if name != "task"}


def scores(net: Any, trained: Any, batch: Any) -> Any:
    """A criterion of one's own."""


def moved(trained: Any, *, draw: int, recipe: Any, init: Any, step: int = 900, of: Any = ("reinitialize",)) -> Any:
    """A branch of one's own, whose arguments have the names of others."""


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"distribution": distribution.globally, "structure": structure.neuron}, "distribution=globally ranks single"),
        (
            {"distribution": distribution.globally, "criterion": criterion.large_init_large_final},
            "criterion=large_init_large_final gives ranks within a layer",
        ),
        ({"criterion": criterion.neuron_l1}, "criterion=neuron_l1 scores whole neurons, and structure=weight"),
        ({"criterion": criterion.movement, "recipe": RIGL}, "compares weights with W_k, and those that updater=rigl"),
        ({"criterion": partial(criterion.inverted, of=criterion.movement), "train_from": 1}, "criterion=movement comp"),
        ({"branches": {"ice": Branch(branch.freeze)}, "recipe": RIGL}, "branch=ice holds pruned weights at values"),
        ({"branches": {"own": Branch(branch.edge_popup)}, "recipe": RIGL}, "branch=own chooses its own mask"),
        ({"branches": {"c": Branch(branch.constant)}, "rewind": rewind.learning_rate}, "branch=c needs W_k of pruned"),
        ({"branches": {"c": Branch(branch.constant)}, "recipe": GRADUAL, "rewind": partial(rewind.weights, step=5)},
         "updater=gradual those that it has removed by step k are 0: use a rewind.step below 5"),
        ({"branches": {"i": Branch(branch.invert)}, "recipe": GRADUAL, "schedule": ONCE}, "gradual prunes the dense"),
        ({"branches": {"on": Branch(branch.continued)}, "train_from": 1}, "branch=on continues what the level"),
        ({"branches": {"ice": Branch(branch.freeze, draws=2)}}, "branch.ice.draws=2: nothing is random in it"),
        ({"branches": {"c": Branch(branch.connect, compare=connectivity.compare)}}, "branch.c.draws=1: its draws"),
        ({"branches": {"s": Branch(partial(branch.flip_signs, step=5))}, "recipe": RIGL}, "updater=rigl moves the"),
        ({"branches": {"s": Branch(partial(branch.flip_signs, step=21))}}, "tickets are trained from step 0 to 20"),
        ({"branches": {"b": Branch(partial(branch.scratch, cap=2.0))}}, "branch.b.transform.cap=2.0: caps budget=macs"),
        ({"init": partial(init.pretrained, weights=""), "branches": {"r": Branch(branch.reinitialize)}}, "r draws the"),
        ({"rewind": partial(rewind.weights, step=20)}, "rewind.step=20: the training has 20 steps, rewind to one of"),
        ({"rewind": partial(rewind.fine_tune, steps=21)}, "rewind.steps=21: the training has 20 steps; give 0 to 20"),
        ({"stops": {"few": partial(stop.density, below=5.0)}}, "stop.few.below=5.0: a share of the weights, above 0"),
        ({"structure": partial(structure.n_of_m, n=5)}, "structure.n=5, structure.m=4: keep 1 to m of every m"),
        ({"recipe": recipe(updater=partial(updater.rigl, end=30))}, "updater.end=30: the training has 20 steps"),
        (
            {"schedule": partial(schedule.one_shot, rounds=2), "distribution": distribution.by_layer},
            "schedule.rounds=2: with distribution=by_layer the first round leaves",
        ),
    ],
)  # fmt: skip
def test_a_job_made_in_python_is_refused_when_it_is_made(changed: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=re.escape(sentence)):
        replace(JOB, **changed)


def test_what_prunes_is_checked_in_the_run_that_tickets_are_taken_from() -> None:
    tuned = replace(JOB, rewind=partial(rewind.fine_tune, steps=15))
    assert replace(JOB, recipe=recipe(steps=10), start=tuned).rewind is tuned.rewind
    with pytest.raises(UserError, match=r"rewind\.steps=15: the training has 10 steps"):
        replace(tuned, recipe=recipe(steps=10))


def test_no_rule_knows_a_function_of_ones_own() -> None:
    own = replace(JOB, criterion=scores, recipe=RIGL, train_from=1, branches={"moved": Branch(moved, draws=2)})
    assert settings(own).criterion.name == f"{scores.__module__}.scores"
    assert settings(own).branches["moved"].transform.arguments == {"step": 900, "of": ("reinitialize",)}


def test_the_ladder_says_which_levels_are_pruned_from_the_dense_net() -> None:
    last = {levels: settings(replace(JOB, levels=levels)).last_from_dense for levels in (0, 1, 3)}
    assert last == {0: 0, 1: 1, 3: 1}
    assert settings(replace(JOB, levels=[2, 4, 6])).last_from_dense == 2
    assert settings(replace(JOB, levels=4, train_from=2)).last_from_dense == 2
    assert settings(replace(JOB, levels=4, schedule=ONCE)).last_from_dense == 4
    own = active(composed()) | {"schedule": {"_target_": "mine.schedule"}, "levels": 4}
    assert configured(own).last_from_dense == 4  # not known before the job has the ladder


@pytest.mark.parametrize(
    "words",
    [
        ["branch=[connect,scratch]", "rewind.step=10", "stop=[density,size]"],
        ["criterion=inverted", "structure=n_of_m", "structure.m=8", "updater=gradual", "schedule=one_shot"],
        ["rewind=fine_tune", "levels=[3,5]", "train_from=3", "branch=[shuffle]", "quantization=[post_training]"],
    ],
)
def test_rules_see_the_same_of_a_configuration_and_of_its_job(words: list[str]) -> None:
    [(cfg, own)] = compositions([*words, "data=mnist_5k"], None)
    seen, made = configured(active(composed(*words, "data=mnist_5k"))), settings(started(cfg, own, None))
    model = of_function(JOB.recipe.model)  # the key model.output is no argument of a model
    assert listed(replace(seen, ladder=None, model=model)) == listed(replace(made, ladder=None, model=model))
    assert seen.model.name == made.model.name
    assert seen.last_from_dense == made.last_from_dense
