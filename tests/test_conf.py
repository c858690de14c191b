"""conf/ mirrors lth/: group = module, option = function, keys = keyword parameters."""

import importlib
import inspect
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from lth.cli.config.signature import REQUIRED, parameters
from lth.cli.config.validate import ENTRIES, SUPPLIED

CONF = Path(__file__).parent.parent / "conf"
OPTIONS = sorted(file for file in CONF.glob("*/*.yaml") if file.parent.name not in {"experiment", "hydra"})
PURE = ["augment", "criterion", "init", "lr", "quantization.recipes", "regularization", "rewind", "stop"]
PURE += ["structure", "distribution", "updater"]
NESTED = {*ENTRIES, "stop"}  # groups that take several options; each is nested under its name
GROUPS = {"tracking": "cli.tracking"}  # groups that are not named after their module
CLASSES = {"none": "Silent", "wandb": "Wandb"}


def node(file: Path) -> dict[str, Any]:
    """The node that names the function of an option."""
    content: Any = OmegaConf.to_container(OmegaConf.load(file))
    nested = content[file.stem] if file.parent.name in NESTED else content
    return dict(nested.get("transform", nested))


def keys(file: Path) -> dict[str, Any]:
    """The keyword arguments of an option."""
    return {key: value for key, value in node(file).items() if not key.startswith("_")}


OURS = {file: parameters(node(file)["_target_"]) for file in OPTIONS if str(node(file)["_target_"]).startswith("lth.")}


def test_the_test_sees_the_options() -> None:
    groups = {"criterion", "branch", "tracking", "optimizer", "data"}
    assert groups <= {file.parent.name for file in OPTIONS}
    assert groups - {"optimizer"} <= {file.parent.name for file in OURS}


def test_the_keys_of_an_option_are_the_keyword_parameters_of_its_function() -> None:
    for file, signature in OURS.items():
        assert keys(file).keys() == signature.keys() - SUPPLIED.get(file.parent.name, set()), file


def test_a_default_of_the_code_is_the_default_of_the_config() -> None:
    for file, signature in OURS.items():
        defaults = {key: signature[key].default for key in keys(file) if signature[key].default is not REQUIRED}
        assert {key: keys(file)[key] for key in defaults} == defaults, file


def test_an_option_is_named_after_its_function_and_its_group_after_the_module() -> None:
    for file in OURS:
        module = GROUPS.get(file.parent.name, file.parent.name)
        name = CLASSES[file.stem] if file.parent.name == "tracking" else file.stem
        assert node(file)["_target_"] == f"lth.{module}.{name}"


def test_every_key_of_an_option_is_a_parameter_of_the_function_that_is_imported() -> None:
    for file in OPTIONS:
        module, _, name = node(file)["_target_"].rpartition(".")
        function = getattr(importlib.import_module(module), name)
        assert keys(file).keys() <= inspect.signature(function).parameters.keys(), file


def test_every_function_of_a_pure_module_can_be_chosen() -> None:
    for group in PURE:
        module = importlib.import_module(f"lth.{group}")
        functions = {
            name
            for name, f in inspect.getmembers(module, inspect.isfunction)
            if f"{f.__module__}.".startswith(f"{module.__name__}.") and name[0] != "_"
        }
        assert functions == {file.stem for file in OPTIONS if file.parent.name == group.split(".")[0]}, group


def test_an_option_of_which_several_can_be_chosen_is_nested_under_its_name() -> None:
    for file in [file for file in OPTIONS if file.parent.name in NESTED]:
        content: Any = OmegaConf.to_container(OmegaConf.load(file))
        assert set(content) == {file.stem}, file
        if file.parent.name in ENTRIES:
            others = {"branch": {"bits"}, "quantization": {"draws", "compare"}}[file.parent.name]
            assert others | set(content[file.stem]) == set(parameters(ENTRIES[file.parent.name])), file


def test_a_default_run_evaluates_often_enough_to_tell_early_stops_apart() -> None:
    cfg = OmegaConf.load(CONF / "config.yaml")
    assert (cfg.evaluate_every, cfg.steps) == (20, 1000)


def interval(file: Path) -> int | str | None:
    """Steps between evaluations that an experiment, or one that it is based on, names."""
    cfg: Any = OmegaConf.to_container(OmegaConf.load(file))
    bases = [base for base in cfg.get("defaults", []) if isinstance(base, str)]
    files = [CONF / "experiment" / base.removeprefix("/experiment/") for base in bases]
    return cfg.get("evaluate_every") or next(filter(None, (interval(f.with_suffix(".yaml")) for f in files)), None)


def test_every_experiment_names_its_own_interval_so_that_another_default_changes_no_result() -> None:
    experiments = sorted((CONF / "experiment").rglob("*.yaml"))
    assert len(experiments) > 40
    assert [file for file in experiments if interval(file) is None] == []
