"""Rules about several configuration keys, or about a value that its type can't describe."""

import re
from typing import Any

from lth import UserError, lr, schedule
from lth.cli.config.bounds import check_block
from lth.cli.config.keys import Config, nodes
from lth.cli.config.settings import check_kept, settings
from lth.cli.ending import objectives
from lth.rules import check
from lth.schedule import rungs
from lth.store.names import check_name, check_path, check_project, did_you_mean, similar

# Columns that an objective may name, beside the metric of the task on validation data.
OBJECTIVES = ("early_stop_val_accuracy", "early_stop_val_loss", "early_stop_step", "density", "remaining")


def check_rules(config: Config) -> None:
    """Raise UserError for the first rule that a configuration breaks; its keys and types are valid already."""
    check_block(config)
    _check_names(config)
    _check_quantization(config)
    check_kept(config)
    _check_levels(config)
    check(settings(config))
    _check_width(config["width"])
    _check_objective(config["objective"])
    if not config["save_every"] > 0:
        raise UserError(f"save_every={config['save_every']}: give the seconds between two saves, above 0, such as 60")
    _check_devices(config)


def _check_names(config: Config) -> None:
    name, project = config["name"], config["tracking"].get("project")
    if isinstance(name, float):
        raise UserError(f"name={name}: this is read as a number (1e3 becomes 1000.0); put the name in quotes")
    check_name(str(name))
    check_path("root", str(config["root"]))
    for key in ("root", "cache"):
        if isinstance(path := config["data"].get(key), str):
            check_path(f"data.{key}", path)
    if config["tracking"]["_target_"] == "lth.cli.tracking.Wandb" and project is not None:
        check_project("tracking.project", str(project))


def _check_quantization(config: Config) -> None:
    for name, node in config["quantization"].items():
        bits = node.get("bits") or []
        if not bits or len({*bits}) < len(bits):
            raise UserError(f"quantization.{name}.bits={bits}: give different widths to quantize weights to, such as "
                            "[8, 4]")  # fmt: skip


def _check_levels(config: Config) -> None:
    levels, replicate = config["levels"], config["replicate"]
    seeds = replicate if isinstance(replicate, list) else [replicate]
    if not seeds or not all(type(seed) is int and seed >= 0 for seed in seeds) or len(set(seeds)) < len(seeds):
        raise UserError(
            f"replicate={replicate}: must be a whole number from 0 on, or a list of different ones such as [1,2,3]"
        )
    if not all(type(level) is int for level in (levels if isinstance(levels, list) else [levels])):
        raise UserError(f"levels={levels}: must be a whole number such as 6, or a list of them such as [0,3,7]")
    ladder = rungs(levels)
    for _, node in nodes(config):
        _call(node, schedule, levels)
        _call(node, lr, 0)
    if config["train_from"] > ladder[-1]:
        raise UserError(f"train_from={config['train_from']} is above the last level, {ladder[-1]}")


def _check_width(width: Any) -> None:
    if width != "auto" and not (type(width) is int and width >= 1):
        raise UserError(f"width={width}: give the number of tickets to train side by side, at least 1, or auto")


def _check_objective(names: Any) -> None:
    for name in objectives(names):
        if "test" in str(name).split("_"):
            raise UserError(f"objective={name}: selecting on test data invalidates the test result; choose by "
                            f"validation data, such as {OBJECTIVES[0]}")  # fmt: skip
        if name not in OBJECTIVES and not re.fullmatch(r"early_stop_val_\w+", str(name)):
            meant = did_you_mean(similar(str(name), OBJECTIVES)) or "."
            raise UserError(f"objective={name}: there is no such objective{meant} Give a column of the table, or a "
                            f"list of them: {', '.join(OBJECTIVES)}")  # fmt: skip
    if names == [] or (isinstance(names, list) and len({*names}) < len(names)):
        raise UserError(f"objective={names}: give different columns, such as [{OBJECTIVES[0]},density]")


def _check_devices(config: Config) -> None:
    devices, width, batch = config["devices"], config["width"], config["batch_size"]
    if devices > 1 and width not in ("auto", 1):
        raise UserError(f"width={width}, devices={devices}: tickets are trained side by side on one device, or each on "
                        "several; leave one of the two out")  # fmt: skip
    if devices > batch:
        raise UserError(f"devices={devices}: a batch has {batch} examples; give each device at least one")


def _call(node: Config, module: Any, argument: Any) -> None:
    """Call the function of a node if it belongs to this module, which rejects invalid values itself."""
    name = node["_target_"].removeprefix(f"{module.__name__}.")
    if "." not in name:
        getattr(module, name)(argument, **{key: value for key, value in node.items() if not key.startswith("_")})
