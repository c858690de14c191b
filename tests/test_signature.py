"""Signatures read from source, the values that they accept, and the errors that follow from them."""

import copy
import importlib
import inspect
import re
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

import pytest
from hydra import compose, initialize_config_dir

from lth import UserError, quantization
from lth.cli.config.annotation import Annotation
from lth.cli.config.compose import validated
from lth.cli.config.conf import CONF, plain
from lth.cli.config.signature import REQUIRED, choices, parameters
from lth.cli.config.validate import ALIASES, ENTRIES, validate
from lth.quantization.scheme import Calibration

TEXT, NUMBER, WHOLE, YES = (Annotation((kind,)) for kind in (str, float, int, bool))
NULL = Annotation((type(None),))


def composed(*overrides: str) -> dict[str, Any]:
    return copy.deepcopy(_composed(overrides))


@cache
def _composed(overrides: tuple[str, ...]) -> dict[str, Any]:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return plain(compose("config", [*overrides]))


def error(config: dict[str, Any], usual: dict[str, Any] | None = None) -> str:
    with pytest.raises(UserError) as raised:
        validate(config, usual or config)
    return str(raised.value)


# ---- reading


def test_a_parameter_has_the_annotation_and_the_default_of_the_source() -> None:
    found = parameters("lth.schedule.one_shot")
    assert list(found) == ["conv", "linear", "output", "shortcut", "rounds"]
    assert found["linear"].annotation == NUMBER
    assert found["linear"].default == 0.2


def test_a_re_export_and_an_alias_are_followed_to_where_they_are_defined() -> None:
    found = parameters("lth.data.mnist")
    assert found["scaling"].annotation == Annotation(choices=("standardize", "unit", "l2", "none"))
    assert found["cache"].annotation == TEXT | NULL
    assert found["cache"].default is None


def test_a_keyword_without_a_default_is_required() -> None:
    found = parameters("lth.model.mlp")
    assert found["hidden"].default is REQUIRED
    assert found["hidden"].annotation == Annotation(items=WHOLE)


def test_a_class_is_called_by_its_init_and_a_dataclass_by_its_fields() -> None:
    assert parameters("lth.cli.tracking.Wandb")["mode"].annotation.choices == ("offline", "online", "disabled")
    assert parameters("lth.job.Branch")["draws"].default == 1


def test_what_lth_does_not_have_is_an_error_that_names_it() -> None:
    with pytest.raises(UserError, match=r"lth.criterion has no function 'magnitud'"):
        parameters("lth.criterion.magnitud")
    with pytest.raises(UserError, match=r"lth.nosuch has no function 'f'"):
        parameters("lth.nosuch.f")


@pytest.mark.parametrize("target", [*ENTRIES.values(), "lth.data.cifar10", "lth.quantization.aware", "lth.lr.drop"])
def test_the_source_says_what_python_says(target: str) -> None:
    module, _, name = target.rpartition(".")
    function = getattr(importlib.import_module(module), name)
    expected = inspect.signature(function).parameters.values()
    if inspect.isfunction(function):
        expected = [p for p in expected if p.kind is p.KEYWORD_ONLY]
    found = parameters(target)
    assert list(found) == [p.name for p in expected]
    for p in expected:
        assert found[p.name].default == (REQUIRED if p.default is p.empty else p.default)


@pytest.mark.parametrize("alias", ALIASES.values())
def test_an_alias_has_the_choices_that_python_sees(alias: str) -> None:
    module, _, name = alias.rpartition(".")
    assert choices(alias) == get_args(getattr(importlib.import_module(module), name))


def test_every_calibration_that_can_be_chosen_is_a_function() -> None:
    assert get_args(Calibration) == tuple(quantization.CALIBRATIONS)
    assert get_type_hints(quantization.aware)["calibration"] == Literal["min_max", "percentile", "mean_squared_error"]


# ---- accepting


@pytest.mark.parametrize(
    ("annotation", "good", "bad"),
    [
        (WHOLE, [0, -3], [1.0, True, "3", None, [1]]),
        (NUMBER, [0.5, 2], [True, "fast", None]),
        (TEXT, ["a", 7], [True, None, ["a"]]),
        (YES, [True, False], [0, 1, "true"]),
        (NUMBER | NULL, [1, None], ["a", False]),
        (Annotation(choices=(2, 3)) | NULL, [2, 3, None], [4, 2.0, "2", True]),
        (Annotation(items=WHOLE), [[], [1, 2]], [1, [1.5], ["a"]]),
        (Annotation(items=WHOLE | TEXT) | NULL, [[8, "fp16"], None], [[None], "fp16"]),
        (Annotation(), [1, None, "a", [True]], []),
    ],
    ids=str,
)
def test_an_annotation_accepts_its_values_and_no_other(annotation: Annotation, good: list[Any], bad: list[Any]) -> None:
    assert [value for value in good if not annotation.accepts(value)] == []
    assert [value for value in bad if annotation.accepts(value)] == []


# ---- errors

RATE = (
    "a pruning rate is the share of the remaining weights that one level prunes, "
    "from 0 (this kind is left alone) to below 1; 0.2 prunes 20%"
)
LEVELS = (
    "nothing to train. Give the number of prunings (levels=3; 0 is dense only) "
    "or the levels themselves (levels=[0,3,7])"
)
SEEDS = "must be a whole number from 0 on, or a list of different ones such as [1,2,3]"
KINDS = "must be a whole number such as 6, or a list of them such as [0,3,7]"
# Key, value, and what is said of them.
INVALID = [
    ("steps", "many", "must be a whole number, such as 1000"),
    ("steps", 2.5, "must be a whole number, such as 1000"),
    ("steps", 0, "must be at least 1"),
    ("evaluate_every", 0, "must be at least 1"),
    ("batch_size", -1, "must be at least 1"),
    ("threads", 0, "must be at least 1"),
    ("width", 0, "give the number of tickets to train side by side, at least 1, or auto"),
    ("width", "wide", "give the number of tickets to train side by side, at least 1, or auto"),
    ("threads", 100_000, "must be at most 1024"),
    ("levels", 10**9, "must be at most 10000"),
    ("levels", [0, 10**9], "must be at most 10000"),
    ("evaluate_every", 10**9, "must be at most 100000000"),
    ("batch_size", 10**12, "must be at most 1048576"),
    ("steps", 10**12, "must be at most 100000000"),
    ("lr.warmup", -5, "must be at least 0"),
    ("optimizer.lr", "fast", "must be a number, such as 0.0012"),
    ("plan", 7, "must be true or false, such as false"),
    ("schedule.linear", "much", "must be a number, such as 0.2"),
    ("schedule.linear", -0.1, RATE),
    ("schedule.output", 20, RATE),
    ("rewind.step", 1000, "the training has 1,000 steps, rewind to one of 0 to 999"),
    ("rewind.step", -1, "the training has 1,000 steps, rewind to one of 0 to 999"),
    ("replicate", [1, 1], SEEDS),
    ("replicate", [], SEEDS),
    ("replicate", -1, SEEDS),
    ("levels", -1, LEVELS),
    ("levels", [0, -2], LEVELS),
    ("levels", "two", KINDS),
    ("levels", [0, 1.5], KINDS),
    ("store.keep", "foo", "choose one of all, last, none"),
    ("precision", "fp64", "choose one of auto, fp32, tf32, bf16"),
    ("scale", "small", "choose one of full, reduced"),
    ("meter", "watts", "choose one of auto, codecarbon, none"),
    ("save_every", 0, "give the seconds between two saves, above 0, such as 60"),
    ("save_every", -2.5, "give the seconds between two saves, above 0, such as 60"),
    ("save_every", float("nan"), "give the seconds between two saves, above 0, such as 60"),
    ("save_every", "never", "must be a number, such as 60.0"),
    ("tracking.mode", "cloud", "choose one of offline, online, disabled, null"),
    ("data.cache", ["here"], "must be text or null"),
]


def test_an_invalid_value_is_named_with_those_that_are_valid() -> None:
    for key, value, message in INVALID:
        config = composed()
        *parents, last = key.split(".")
        node = config
        for parent in parents:
            node = node[parent]
        node[last] = value
        assert error(config, composed()) == f"{key}={value}: {message}"


PAIRS = {
    ("distribution=globally", "structure=neuron"): "distribution=globally ranks single weights",
    ("distribution=globally", "structure=n_of_m"): "distribution=globally ranks single weights",
    (
        "updater=gradual",
        "updater.every=7",
    ): "updater.begin=0, updater.end=500, updater.every=7: the training has 1,000 steps",
    ("updater=gradual", "steps=400"): "updater.begin=0, updater.end=500, updater.every=100: the training has 400 steps",
    ("updater=gradual", "updater.density=2"): "updater.density=2: the share that remains",
    ("distribution=globally", "structure=row"): "distribution=globally ranks single weights",
    (
        "updater=rigl",
        "updater.every=750",
    ): "updater.every=750, updater.end=750: the training has 1,000 steps; give 0 < every",
    (
        "updater=set",
        "steps=700",
    ): "updater.every=100, updater.end=750: the training has 700 steps; give 0 < every < end",
    ("updater=set", "updater.drop_fraction=0"): "updater.drop_fraction=0: the share that is dropped and grown",
    ("updater=set", "updater.decay=linear"): "updater.decay=linear: choose one of constant, cosine",
    ("device=foo",): "device=foo: choose one of auto, cpu, gpu, cuda, mps",
    ("model=mlp", "model.dropout=1.5"): "model.dropout=1.5: must be at most 0.99",
    ("levels=[0,2]", "train_from=3"): "train_from=3 is above the last level, 2",
    ("levels=2", "train_from=-1"): "train_from=-1: must be at least 0",
    ("model=mlp", "model.hidden=[300,0]"): "model.hidden=[300, 0]: must be at least 1",
    ("model=mlp", "model.hidden=[1000000000]"): "model.hidden=[1000000000]: must be at most 10000000",
    ("steps=100000000", "evaluate_every=100000", "batch_size=10000"): (
        "evaluate_every=100000, batch_size=10000: 1000000000 examples between two evaluations; evaluate after at most "
        "13421 steps"
    ),
    ("branch=[shuffle]", "branch.shuffle.draws=1000000"): "branch.shuffle.draws=1000000: must be at most 10000",
    ("branch=[shuffle]", "branch.shuffle.draws=0"): "branch.shuffle.draws=0: must be at least 1",
}


def test_lists_and_whole_numbers_have_bounds_whatever_their_key() -> None:
    for key in ("replicate", "levels"):
        assert error(composed() | {key: [*range(10**6)]}) == f"{key}=[0, 1, 2, ...]: 1000000 values; give at most 10000"
    config = composed()
    config["optimizer"]["anything"] = 10**400
    assert error(config, composed()) == (
        "optimizer.anything: a whole number of 1329 bits; give at most 9223372036854775807"
    )


@pytest.mark.long
def test_values_that_do_not_go_together_are_errors_before_anything_is_trained() -> None:
    for overrides, message in PAIRS.items():
        assert error(composed(*overrides)).startswith(message), overrides


@pytest.mark.long
def test_every_distribution_goes_with_weights_and_all_but_globally_with_neurons() -> None:
    for distribution in ("by_kind", "uniform", "er", "erk", "balanced"):
        config = composed(f"distribution={distribution}", "structure=neuron")
        validate(config, config)
    config = composed("distribution=globally", "structure=weight")
    validate(config, config)


def test_a_key_of_ours_that_is_not_a_parameter_is_unknown_and_the_nearest_is_named() -> None:
    config = composed()
    config["rewind"]["stepp"] = 3
    assert error(config, composed()) == (
        "there is no key 'rewind.stepp'. Did you mean rewind.step? (lth run --help all lists all keys)"
    )


def test_a_parameter_without_default_that_is_not_given_is_missing() -> None:
    config = composed()
    config["model"] = {"_target_": "lth.model.mlp", "_partial_": True}
    assert error(config, composed()) == "model.hidden is missing: lth.model.mlp needs it"


def test_a_function_that_lth_does_not_have_is_an_error_of_its_key() -> None:
    config = composed()
    config["criterion"]["_target_"] = "lth.criterion.magnitud"
    assert error(config) == ("criterion._target_=lth.criterion.magnitud: lth.criterion has no function 'magnitud'")


def test_types_are_those_of_the_function_that_is_named_and_not_of_the_option() -> None:
    config = composed()
    config["model"] = {"_target_": "lth.model.mlp", "_partial_": True, "hidden": [8, "many"]}
    assert error(config, composed()).startswith("model.hidden=[8, 'many']: must be a list")


def test_the_keys_of_other_functions_are_free() -> None:
    config = composed()
    config["optimizer"] = {**config["optimizer"], "betas": [0.9, 0.95], "anything": None}
    config["criterion"] = {"_target_": "mine.smallest", "_partial_": True, "power": 2}
    config["branch"] = {"mine": {"levels": None, "draws": 1, "transform": {"_target_": "mine.branch", "power": 2}}}
    usual = composed() | {"branch": {"mine": {"levels": None, "draws": 1, "transform": {"_target_": "mine.branch"}}}}
    validate(config, usual)
    config["branch"]["mine"]["drows"] = 2
    assert "there is no key 'branch.mine.drows'. Did you mean branch.mine.draws?" in error(config, usual)


def test_a_branch_that_no_file_names_has_the_keys_of_all() -> None:
    config = composed()
    config["branch"] = {"mine": {"transform": {"_target_": "mine.branch", "_partial_": True}}}
    config["branch"]["mine"] |= {"levels": [1], "draws": 2, "compare": None}
    usual = composed() | {"branch": {"mine": {"transform": {"_target_": "mine.branch", "_partial_": True}}}}
    validate(config, usual)
    config["branch"]["mine"]["draws"] = "two"
    assert error(config, usual) == "branch.mine.draws=two: must be a whole number, such as 1"
    config["branch"]["mine"] |= {"draws": 2, "compare": True}
    assert error(config, usual) == (
        "branch.mine.compare=True: must be null or a function, branch.mine.compare._target_=module.function"
    )
    config["branch"]["mine"] |= {"compare": None, "bits": 4}
    assert "there is no key 'branch.mine.bits'" in error(config, usual)


def test_what_may_be_null_says_so_among_its_choices() -> None:
    config = composed("quantization=[aware]")
    config["quantization"]["aware"]["transform"]["activation_bits"] = 9
    assert error(config) == ("quantization.aware.transform.activation_bits=9: choose one of 2, 3, 4, 5, 6, 7, 8, null")
    config["quantization"]["aware"]["transform"]["activation_bits"] = None
    validate(config, config)


def test_the_levels_and_draws_of_a_control_are_whole_numbers() -> None:
    config = composed("branch=[shuffle]")
    config["branch"]["shuffle"]["levels"] = 3
    assert error(config) == "branch.shuffle.levels=3: must be null or a list"
    config["branch"]["shuffle"] |= {"levels": None, "draws": "two"}
    assert error(config) == "branch.shuffle.draws=two: must be a whole number, such as 1"


def test_arguments_that_lth_supplies_are_no_keys() -> None:
    config = composed("branch=[shuffle]")
    config["branch"]["shuffle"]["transform"]["draw"] = 1
    assert "there is no key 'branch.shuffle.transform.draw'" in error(config)


def test_the_test_sees_the_configuration() -> None:
    assert Path(CONF, "config.yaml").is_file()
    validate(composed(), composed())


# ---- null, deletions and interpolations


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["+foo=null"], "there is no key 'foo'"),
        (["branch=[connect]", "+branch.connect.bits=null"], "there is no key 'branch.connect.bits'"),
        (["steps=${stepz}"], "Interpolation key 'stepz' not found.*Did you mean steps"),
        (["optimizer.lr=${optimizer.lrr}"], "Interpolation key 'optimizer.lrr' not found"),
    ],
)
def test_null_and_interpolations_of_no_key_are_refused_by_name(given: list[str], message: str) -> None:
    with pytest.raises(UserError) as raised:
        validated(given)
    assert re.search(message, str(raised.value), re.DOTALL)


@pytest.mark.long
def test_what_is_left_out_may_be_what_another_override_gave() -> None:
    validated(["branch=[connect,shuffle]", "branch.shuffle.draws=2", "~branch.shuffle.draws=2", "~branch.connect"])
    validated(["+model.foo=1", "~model.foo"])
