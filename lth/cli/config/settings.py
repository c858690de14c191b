"""Configuration -> what the rules see of it, and rules about stored weights, of which a job knows nothing."""

from collections.abc import Iterator
from typing import Any

from lth import UserError, schedule
from lth.cli.config.keys import Config
from lth.cli.config.signature import REQUIRED, parameters
from lth.rules import Branching, Function, Settings
from lth.schedule import Ladder

FUNCTIONS = ("model", "init", "criterion", "distribution", "structure", "schedule", "rewind", "updater")


def settings(config: Config) -> Settings:
    """The settings of a configuration whose keys and types are valid."""
    return Settings(
        steps=config["steps"],
        levels=config["levels"],
        train_from=config["train_from"],
        starts=config["start"] is not None,
        ladder=_ladder(config),
        **{name: _function(config[name]) for name in FUNCTIONS},
        stops={name: _function(node) for name, node in config["stop"].items()},
        branches={name: _branching(node) for name, node in config["branch"].items()},
    )


def _ladder(config: Config) -> Ladder | None:
    function = _function(config["schedule"])
    return None if "." in function.name else getattr(schedule, function.name)(config["levels"], **function.arguments)


def _branching(node: Config) -> Branching:
    transform = _function(node.get("transform", {}))
    return Branching(transform, node.get("levels"), node.get("draws", 1), node.get("compare") is not None)


def _function(node: Config) -> Function:
    target = str(node.get("_target_"))
    ours = target.startswith("lth.")
    known = parameters(target) if ours else {}
    defaults = {name: each.default for name, each in known.items() if each.default is not REQUIRED}
    given = {name: _value(value) for name, value in node.items() if not name.startswith("_")}
    return Function(target.rpartition(".")[2] if ours else target, {**defaults, **given})


def _value(value: Any) -> Any:
    return _function(value) if isinstance(value, dict) and "_target_" in value else value


def check_kept(config: Config) -> None:
    """Raise UserError for a setting that reads trained weights, if the store keeps none."""
    if (keep := config["store"]["keep"]) != "all":
        for what, why in _reading(config):
            raise UserError(f"store.keep={keep}: {what} {why}, use store.keep=all")


def _reading(config: Config) -> Iterator[tuple[str, str]]:
    """Settings that read trained weights, and why."""
    if config["quantization"]:
        yield "quantization", "starts from the trained weights"
    if (rewind := _function(config["rewind"]).name) in ("learning_rate", "fine_tune"):
        yield f"rewind={rewind}", "continues from the trained weights"
    for name, node in config["branch"].items():
        transform = _function(node.get("transform", {}))
        if transform.name == "continued":
            yield f"branch={name}", "continues from the trained weights"
        if "growing" in transform.name:
            yield f"branch={name}", "compares the trained weights of all levels before"
        if transform.name in ("signed_reinitialize", "flip_signs") and (step := transform["step"]) == config["steps"]:
            yield f"branch.{name}.transform.step={step}", "looks at the trained weights"
