"""Recipes: the settings that decide a result, and its name (digest)."""

import dataclasses
import importlib
from collections.abc import Sequence
from dataclasses import replace
from functools import cache, partial, wraps
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small import DATA, conv_net, half_pruned, many, momentum, net, recipe, sgd, split
from torch import nn

from lth import UserError, augment, criterion, lr
from lth.data import Data, Split, diabetes
from lth.model import conv, lenet_300_100, mlp, transformer
from lth.recipe import Recipe
from lth.store.digest import describe, digest, short
from lth.task import regression
from lth.ticket import Ticket, masked


def options(a: int, *, one: int = 1, some: Sequence[int] = (1, 2), nothing: float | None = None) -> None:
    """A function with defaults."""


def negated(function: Any) -> Any:
    """A decorator, which gives its function the name of the other, and another default."""

    @wraps(function)
    def inner(*values: Any, one: int = 3, **keywords: Any) -> Any:
        return -function(*values, one=one, **keywords)

    return inner


@negated
def decorated(a: int, *, one: int = 1) -> int:
    """A function with a default that its decorator replaces."""
    return a * one


@cache
def cached(a: int) -> int:
    """A function without code of its own."""
    return a


bound = negated(options)
magnitude = negated(criterion.magnitude)


class Schedule:
    """A schedule with a state."""

    def __init__(self, end: int) -> None:
        self.end = end

    def factor(self, step: int) -> float:
        return float(step < self.end)

    __call__ = factor


def test_a_function_is_described_by_its_public_name_and_the_arguments_that_are_not_its_defaults() -> None:
    assert describe(lr.constant) == {"function": "lr.constant"}
    assert describe(partial(lr.drop, at=[3, 5], factor=0.5)) == {
        "function": "lr.drop",
        "at": [3, 5],
        "factor": 0.5,
    }


def test_a_function_whose_meaning_has_changed_has_a_version() -> None:
    assert describe(criterion.grasp) == {"function": "criterion.grasp", "version": 2}
    assert describe(criterion.snip) == {"function": "criterion.snip"}


def test_moving_a_file_of_lth_changes_no_name_and_what_is_not_public_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlp, "__module__", "lth.model.elsewhere")
    assert describe(mlp) == {"function": "model.mlp"}
    with pytest.raises(TypeError, match=r"lth\.model\.conv\._conv is not public"):
        describe(conv._conv)


@pytest.mark.long
@many
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "one": st.integers(0, 2),
            "some": st.lists(st.integers(0, 2)),
            "nothing": st.none() | st.floats(0, 1, allow_subnormal=False),
        },
    )
)
def test_explicit_defaults_have_the_description_of_omitted_ones(given_: dict[str, Any]) -> None:
    everything = {"one": 1, "some": [1, 2], "nothing": None, **given_}
    assert describe(partial(options, **given_)) == describe(partial(options, **everything))
    in_reverse = dict(reversed(everything.items()))
    assert describe(partial(options, **in_reverse)) == describe(partial(options, **everything))


def test_a_default_of_none_differs_from_0() -> None:
    assert describe(partial(options, nothing=0)) == {**describe(options), "nothing": 0}


def test_1_is_not_true() -> None:
    assert describe(partial(options, one=True)) != describe(partial(options, one=1))


def test_a_partial_of_a_partial_is_described_as_one_and_the_outer_argument_counts() -> None:
    assert describe(partial(partial(options, one=2, nothing=3.0), one=4)) == describe(
        partial(options, one=4, nothing=3.0)
    )


def test_a_recipe_says_what_decides_a_result_and_nothing_else() -> None:
    described = describe(recipe(batch_size=60, evaluate_every=100))
    assert described == {
        "model": {"function": "model.mlp", "hidden": [8, 6]},
        "data": {"name": "tiny", "scaling": "unit", "fingerprint": DATA.fingerprint},
        "optimizer": describe(sgd),
        "steps": 20,
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"model": lenet_300_100},
        {"model": partial(mlp, hidden=[8, 7])},
        {"data": dataclasses.replace(DATA, scaling="none")},
        {"data": dataclasses.replace(DATA, classes=5)},
        {"data": Data("tiny", split(4, 50), DATA.validation, DATA.test, "unit")},
        {"optimizer": momentum},
        {"optimizer": partial(sgd, lr=0.2)},
        {"steps": 21},
        {"batch_size": 11},
        {"evaluate_every": 5},
        {"lr": partial(lr.constant, warmup=3)},
        {"augment": augment.flip_crop},
        {"precision": "bf16"},
    ],
)
def test_everything_that_decides_a_result_changes_its_name(changes: dict[str, Any]) -> None:
    assert digest(recipe(**changes), half_pruned(recipe())) != digest(recipe(), half_pruned(recipe()))


def test_the_same_values_have_the_same_name_however_they_are_written() -> None:
    usual = recipe(model=partial(mlp, hidden=(8, 6)), optimizer=sgd)
    other = recipe(model=partial(mlp, hidden=[8, 6]), optimizer=partial(sgd, lr=0.1))
    assert digest(usual, half_pruned(usual)) == digest(other, half_pruned(other))


def test_a_recipe_with_the_default_schedule_spelled_out_has_the_same_name() -> None:
    assert describe(recipe(lr=partial(lr.constant, warmup=0))) == describe(recipe())


def test_a_default_of_0_that_is_written_as_0_point_0_has_the_same_name() -> None:
    adam = partial(torch.optim.Adam, lr=0.01)
    assert describe(partial(adam, weight_decay=0.0)) == describe(adam)


def test_the_name_of_a_result_depends_on_mask_step_replicate_and_kept_weights() -> None:
    base = recipe(model=conv_net)
    ticket = half_pruned(base)
    other_mask = {**ticket.mask, "4.weight": ~ticket.mask["4.weight"]}
    moved = {**ticket.weights, "1.running_mean": ticket.weights["1.running_mean"] + 1}
    names = [
        digest(base, ticket),
        digest(base, dataclasses.replace(ticket, step=1)),
        digest(base, dataclasses.replace(ticket, replicate=2)),
        digest(base, dataclasses.replace(ticket, mask=other_mask)),
        digest(base, dataclasses.replace(ticket, weights=moved)),
    ]
    assert len(set(names)) == 5
    assert all(len(name) == 20 and set(name) <= set("0123456789abcdef") for name in names)


def example(**changes: Any) -> tuple[Recipe, Ticket]:
    """Recipe and ticket with literal numbers, so that the name is the same on every machine and version of PyTorch."""
    part = Split(np.arange(8, dtype=np.uint8).reshape(2, 1, 2, 2), np.array([0, 1]))
    written = Recipe(
        model=partial(mlp, hidden=[2]),
        data=Data("eight", part, part, part),
        optimizer=partial(torch.optim.Adam, lr=0.01),
        steps=3,
        **changes,
    )
    weights = {
        "1.weight": torch.arange(8.0).view(2, 4),
        "1.bias": torch.zeros(2),
        "3.weight": torch.ones(2, 2),
        "3.bias": torch.zeros(2),
    }
    mask = {"1.weight": torch.arange(8).view(2, 4) > 1, "3.weight": torch.ones(2, 2, dtype=torch.bool)}
    return written, Ticket(weights, mask)


@pytest.mark.parametrize("changes", [{}, {"augment": augment.none}, {"precision": "fp32"}])
def test_a_result_has_the_same_name_on_every_machine(changes: dict[str, Any]) -> None:
    assert digest(*example(**changes)) == "84884e3e57d2c5874540"


def test_augmentations_and_precisions_change_the_name() -> None:
    changes: list[dict[str, Any]] = [
        {},
        {"precision": "bf16"},
        {"augment": augment.flip_crop},
        {"augment": partial(augment.flip_crop, pad=2)},
        {"augment": augment.flip_crop, "precision": "bf16"},
    ]
    assert len({digest(*example(**change)) for change in changes}) == 5
    assert describe(recipe(augment=partial(augment.flip_crop, pad=4), precision="bf16")) == {
        **describe(recipe()),
        "augment": {"function": "augment.flip_crop"},
        "precision": "bf16",
    }


@pytest.mark.parametrize("precision", ["auto", "fp16", "BF16", ""])
def test_an_unknown_precision_is_an_error_that_lists_the_valid_ones(precision: str) -> None:
    with pytest.raises(ValueError, match=f"precision={precision}: choose one of fp32, tf32, bf16"):
        recipe(precision=precision)


def test_a_mask_counts_even_where_the_weight_under_it_is_0() -> None:
    ticket = half_pruned(recipe())
    zero = dataclasses.replace(ticket, weights={name: torch.zeros_like(w) for name, w in ticket.weights.items()})
    whole = {name: torch.ones_like(m) for name, m in ticket.mask.items()}
    assert digest(recipe(), zero) != digest(recipe(), dataclasses.replace(zero, mask=whole))


def test_what_does_not_decide_a_result_is_not_part_of_its_name() -> None:
    ticket = half_pruned(recipe())
    same_training = dataclasses.replace(
        ticket, weights=masked(ticket.weights, ticket.mask), level=9, branch="shuffle", draw=4
    )
    assert digest(recipe(), same_training) == digest(recipe(), ticket)


def test_a_lambda_or_closure_is_an_error_since_its_results_cannot_be_found_again() -> None:
    def closure(step: int) -> float:
        return 1.0

    for function in (closure, lambda _: 1.0):
        with pytest.raises(TypeError, match="has no import path"):
            describe(function)


def test_a_decorated_function_has_the_default_of_its_decorator() -> None:
    assert (decorated(2), decorated(2, one=1)) == (-6, -2)
    assert describe(partial(decorated, one=3)) == describe(decorated) != describe(partial(decorated, one=1))


def test_a_function_with_the_name_of_another_has_that_which_it_is_bound_to() -> None:
    assert bound.__qualname__ == "options"
    assert describe(bound)["function"] == "test_recipe.bound"
    assert describe(options)["function"] == "test_recipe.options"
    for other in (magnitude, negated(options), negated(Schedule), negated(cached)):
        with pytest.raises(TypeError, match=r"has the name of another, .*which a decorator copied"):
            describe(other)


def test_a_decorated_function_keeps_its_name_where_its_module_is_imported_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decorated = "@torch.no_grad()\n@torch.enable_grad()\ndef twice(net):\n    return 1\n"
    (tmp_path / "again.py").write_text(
        f"import torch\n\n@torch.no_grad()\ndef scored(net):\n    return 1\n\n{decorated}"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    module = importlib.import_module("again")
    scored, twice = module.scored, module.twice
    importlib.reload(module)
    assert (describe(scored)["function"], describe(twice)["function"]) == ("again.scored", "again.twice")


def test_an_argument_bound_by_position_is_an_error() -> None:
    with pytest.raises(TypeError, match="by position"):
        describe(partial(options, 1))


@pytest.mark.parametrize("value", [torch.zeros(1), {1, 2}, b"bytes", torch.float32])
def test_a_value_without_a_description_is_an_error(value: object) -> None:
    with pytest.raises(TypeError, match="can't be part of a recipe"):
        describe(value)


def test_methods_of_two_objects_are_told_apart_or_refused() -> None:
    try:
        described = [describe(Schedule(end).factor) for end in (1, 2)]
    except TypeError:
        return
    assert described[0] != described[1]


def test_a_callable_object_is_refused_with_an_explanation() -> None:
    with pytest.raises(TypeError):
        describe(Schedule(1))


def test_a_function_of_a_script_or_notebook_has_no_import_path() -> None:
    script: dict[str, Any] = {"__name__": "__main__"}
    exec("def schedule(step):\n    return 1.0", script)
    with pytest.raises(TypeError, match="import path"):
        describe(script["schedule"])


@pytest.mark.parametrize("key", ["steps", "batch_size", "evaluate_every"])
def test_a_recipe_without_steps_images_or_evaluations_is_an_error(key: str) -> None:
    with pytest.raises(ValueError, match=f"{key}=0: must be at least 1"):
        recipe(**{key: 0})


def test_steps_are_whole_numbers() -> None:
    with pytest.raises(UserError, match=r"steps=4\.0: must be a whole number"):
        recipe(steps=4.0)


@pytest.mark.parametrize("kind", [torch.optim.Rprop, torch.optim.ASGD])
def test_a_schedule_that_an_optimizer_would_not_follow_is_refused(kind: Any) -> None:
    """Rprop reads its rate once, and ASGD the rate of the step before."""
    optimizer = partial(kind, lr=0.01)
    for schedule in (partial(lr.cosine, steps=4), partial(lr.constant, warmup=2), partial(lr.drop, at=[3])):
        with pytest.raises(UserError, match=rf"optimizer={kind.__name__.lower()} .* can't follow a schedule: use"):
            recipe(optimizer=optimizer, lr=schedule, steps=4)
    recipe(optimizer=optimizer, lr=partial(lr.drop, at=[4]), steps=4)
    assert recipe(optimizer=optimizer, steps=4).at_last_rate(2).steps == 6


def test_batch_norm_of_a_single_example_is_refused_before_anything_is_trained() -> None:
    def model(shape: object, classes: int) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(16, 4), nn.BatchNorm1d(4), nn.Linear(4, classes))

    with pytest.raises(UserError, match=r"batch_size: batch norm of Sequential needs two examples in each batch"):
        _ = recipe(model=model, batch_size=1).layers
    assert len(recipe(model=model, batch_size=2).layers.kinds) == 2
    one = replace(DATA, train=DATA.train.take(np.array([0])))
    assert len(recipe(model=model, data=one, batch_size=2).layers.kinds) == 2  # a batch has it twice


def test_a_transformer_refuses_numbers() -> None:
    job = recipe(model=transformer, data=diabetes(), task=regression())
    with pytest.raises(UserError, match="model=transformer needs tokens, and inputs are numbers"):
        _ = job.layers


def test_a_recipe_makes_a_fresh_net_of_the_shape_of_its_data() -> None:
    made = Recipe(model=net, data=DATA, optimizer=sgd, steps=1)
    first, second = made.net(), made.net()
    assert first is not second
    assert first(torch.zeros(2, *DATA.shape)).shape == (2, 3)


def test_the_name_of_a_description_does_not_depend_on_the_order_of_its_keys() -> None:
    assert short({"a": 1, "b": [2]}) == short({"b": [2], "a": 1}) != short({"a": 1, "b": [3]})


def test_the_number_of_threads_is_part_of_the_recipe_and_one_changes_no_name() -> None:
    ticket = half_pruned(recipe())
    assert "threads" not in describe(recipe())
    assert digest(recipe(threads=1), ticket) == digest(recipe(), ticket)
    assert digest(recipe(threads=2), ticket) != digest(recipe(), ticket)
    with pytest.raises(UserError, match="threads=0: must be at least 1"):
        recipe(threads=0)


def test_the_last_rate_is_that_of_the_last_step() -> None:
    settings = recipe(steps=20, lr=partial(lr.drop, at=[20], factor=0.1))  # steps 0 to 19
    assert settings.at_last_rate(5).lr(20) == 1.0
