"""conf/ mirrors lth/: group = module, option = function, keys = keyword parameters."""

import importlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from lth.job import Branch

CONF = Path(__file__).parent.parent / "conf"
OPTIONS = sorted(file for file in CONF.glob("*/*.yaml") if file.parent.name not in {"experiment", "hydra"})
PURE = [
    "augment",
    "criterion",
    "init",
    "lr",
    "quantization.recipes",
    "regularization",
    "rewind",
    "stop",
    "structure",
    "distribution",
    "updater",
]
NESTED = {"branch": Branch, "quantization": Branch, "stop": None}
# What the code gives to what a config names.
GIVEN = {
    "augment": {"replicate", "step"},
    "branch": {"draw", "recipe", "init"},
    "quantization": {"recipe", "bits"},
    "tracking": {"group", "name", "folder", "config"},
}


def node(file: Path) -> dict[str, Any]:
    """The node that names the function of an option; where several can be chosen, it is nested."""
    content: Any = OmegaConf.to_container(OmegaConf.load(file))
    nested = content[file.stem] if file.parent.name in NESTED else content
    return dict(nested.get("transform", nested))


def target(file: Path) -> Callable[..., Any]:
    module, _, name = node(file)["_target_"].rpartition(".")
    found = getattr(importlib.import_module(module), name)
    assert callable(found)
    return found  # type: ignore[no-any-return]


def keys(file: Path) -> set[str]:
    return {key for key in node(file) if not key.startswith("_")}


every = pytest.mark.parametrize("file", OPTIONS, ids=lambda file: f"{file.parent.name}={file.stem}")
ours = pytest.mark.parametrize(
    "file",
    [file for file in OPTIONS if node(file)["_target_"].startswith("lth.")],
    ids=lambda file: f"{file.parent.name}={file.stem}",
)


def test_the_test_sees_the_options() -> None:
    assert {"criterion", "schedule", "branch", "tracking", "optimizer"} <= {file.parent.name for file in OPTIONS}


@ours
def test_the_keys_of_an_option_are_the_keyword_parameters_of_its_function(file: Path) -> None:
    parameters = inspect.signature(target(file)).parameters.values()
    keywords = {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}
    assert keys(file) == keywords - GIVEN.get(file.parent.name, set())


@ours
def test_an_option_is_named_after_its_function_and_its_group_after_the_module(file: Path) -> None:
    name = node(file)["_target_"]
    if file.parent.name == "tracking":
        assert name.startswith("lth.cli.tracking.")
    else:
        assert name == f"lth.{file.parent.name}.{file.stem}"


@ours
def test_a_default_of_the_code_is_the_default_of_the_config(file: Path) -> None:
    parameters = inspect.signature(target(file)).parameters
    for key in keys(file):
        if parameters[key].default is not inspect.Parameter.empty:
            assert node(file)[key] == parameters[key].default, key


@every
def test_every_key_of_an_option_is_a_parameter_of_what_it_names(file: Path) -> None:
    assert keys(file) <= inspect.signature(target(file)).parameters.keys()


@pytest.mark.parametrize("group", PURE)
def test_every_function_of_a_pure_room_can_be_chosen(group: str) -> None:
    module = importlib.import_module(f"lth.{group}")
    functions = {
        name
        for name, f in inspect.getmembers(module, inspect.isfunction)
        if f.__module__ == module.__name__ and name[0] != "_"
    }
    assert functions == {file.stem for file in OPTIONS if file.parent.name == group.split(".")[0]}


@pytest.mark.parametrize("file", [f for f in OPTIONS if f.parent.name in NESTED], ids=lambda file: file.stem)
def test_an_option_of_which_several_can_be_chosen_is_nested_under_its_name(file: Path) -> None:
    content: Any = OmegaConf.to_container(OmegaConf.load(file))
    assert set(content) == {file.stem}
    if (kind := NESTED[file.parent.name]) is not None:
        given = {"draws"} if file.parent.name == "quantization" else {"bits"}
        assert set(content[file.stem]) == set(inspect.signature(kind).parameters) - given
