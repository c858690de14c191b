"""What in a configuration can't be meant. On plain mappings and without torch, so that a wrong value is told fast."""

from collections.abc import Mapping
from typing import Any

from lth import UserError, lr, schedule

Config = Mapping[str, Any]

CHOICES: dict[str, tuple[Any, ...]] = {
    "precision": ("auto", "fp32", "bf16"),
    "data.scaling": ("standardize", "unit", "none"),
    "scale": ("full", "reduced"),
    "store.keep": ("all", "last", "none"),
    "meter": ("auto", "codecarbon", "none"),
    "tracking.mode": ("offline", "online", "disabled"),
}
QUANTIZATIONS = [f"quantization.{name}.transform" for name in ("post_training", "aware")]
CHOICES |= {f"{name}.calibration": ("min_max", "percentile", "mean_squared_error") for name in QUANTIZATIONS}
CHOICES |= {f"{name}.activation_bits": (*range(2, 9),) for name in QUANTIZATIONS}
# What may also be null.
NULL = {f"{name}.activation_bits" for name in QUANTIZATIONS}
BITS = (*range(2, 9), "fp16", "bf16")
AT_LEAST = {
    "steps": 1,
    "batch_size": 1,
    "evaluate_every": 1,
    "threads": 1,
    "lr.warmup": 0,
    "augment.pad": 0,
    "regularization.strength": 0,
    "stop.accuracy_drop.points": 0,
    "stop.density.below": 0,
    "stop.size.below": 0,
    "quantization.post_training.transform.images": 1,
    "quantization.aware.transform.images": 1,
    "quantization.aware.transform.steps": 1,
}
NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "text", list: "a list"}


def check(config: Config, usual: Config) -> None:
    """Raises UserError. `usual` is the same configuration with the same options and no value changed."""
    given, defaults = leaves(config), leaves(usual)
    for key, default in defaults.items():
        if key in given:
            _check_type(key, given[key], default)
            _check_range(key, given[key])
        elif "." not in key:
            raise UserError(f"{key} is missing")
    _check_extra(config, given.keys() - defaults.keys())
    _check_quantization(config)
    _check_rewind(config)
    _check_structure(config)
    _check_ladder(config)


def leaves(config: Config, prefix: str = "") -> dict[str, Any]:
    """Dotted keys and their values; lists are values."""
    found: dict[str, Any] = {}
    for key, value in config.items():
        found |= leaves(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return found


def _check_type(key: str, value: Any, default: Any) -> None:
    if default is None or key.endswith("_target_") or key in ("levels", "replicate") or (value is None and key in NULL):
        return
    wanted = {float: (int, float), str: (str, int, float)}.get(type(default), (type(default),))
    if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
        raise UserError(f"{key}={value}: must be {NAMES[type(default)]}, such as {default}")


def _check_range(key: str, value: Any) -> None:
    if key in CHOICES and value not in CHOICES[key] and not (value is None and key in NULL):
        raise UserError(f"{key}={value}: choose one of {', '.join(map(str, CHOICES[key]))}")
    if key in AT_LEAST and value < AT_LEAST[key]:
        raise UserError(f"{key}={value}: must be at least {AT_LEAST[key]}")


def _check_extra(config: Config, added: set[str]) -> None:
    """Keys added by "+": good for a function of the user's own or of another library, whose arguments we don't know."""
    for key in sorted(added):
        node = config.get(key.partition(".")[0])
        target = node.get("_target_", "lth.") if isinstance(node, Mapping) else "lth."
        if target.startswith("lth."):
            raise UserError(f"there is no key '{key}' (lth run --help lists what there is)")


def _check_quantization(config: Config) -> None:
    chosen, keep = config.get("quantization") or {}, config["store"]["keep"]
    if chosen and keep != "all":
        raise UserError(f"store.keep={keep}: a quantization starts from the trained weights, use store.keep=all")
    for name, node in chosen.items():
        for bits in node["bits"]:
            if bits not in BITS:
                raise UserError(f"quantization.{name}.bits={node['bits']}: choose of 2 to 8, fp16 and bf16")


def _check_rewind(config: Config) -> None:
    rewind, steps = config["rewind"], config["steps"]
    if not 0 <= rewind.get("steps", 0) <= steps:
        raise UserError(f"rewind.steps={rewind['steps']}: training has {steps} steps, fine-tune for 0 to all of them")
    if not 0 <= rewind.get("step", 0) < steps:
        raise UserError(f"rewind.step={rewind['step']}: training has {steps} steps, rewind to one of 0 to {steps - 1}")
    name = rewind["_target_"].removeprefix("lth.rewind.")
    if name in ("learning_rate", "fine_tune") and config["store"]["keep"] != "all":
        keep = config["store"]["keep"]
        raise UserError(f"store.keep={keep}: rewind={name} goes on from the trained weights, use store.keep=all")


def _check_structure(config: Config) -> None:
    structure = config["structure"]
    if structure["_target_"] == "lth.structure.n_of_m" and not 0 < structure["n"] <= structure["m"]:
        n, m = structure["n"], structure["m"]
        raise UserError(f"structure.n={n}, structure.m={m}: n of each m weights stay, from 1 to all of them")


def _check_ladder(config: Config) -> None:
    levels = config["levels"]
    replicate = config["replicate"]
    seeds = replicate if isinstance(replicate, list) else [replicate]
    if not seeds or not all(type(seed) is int and seed >= 0 for seed in seeds) or len(set(seeds)) < len(seeds):
        raise UserError(f"replicate={replicate}: must be a whole number from 0 on, or a list of such: [1,2,3]")
    if not all(type(level) is int for level in (levels if isinstance(levels, list) else [levels])):
        raise UserError(f"levels={levels}: must be a whole number such as 6, or a list of them such as [0,3,7]")
    try:
        schedule.rungs(levels)
        _call(config["schedule"], schedule, levels)
        _call(config["lr"], lr, 0)
    except (ValueError, TypeError) as error:
        raise UserError(str(error)) from error


def _call(node: Config, module: Any, argument: Any) -> None:
    """Call the function of a node, if it is one of this module: it knows which values are wrong."""
    name = node["_target_"].removeprefix(f"{module.__name__}.")
    if "." not in name:
        getattr(module, name)(argument, **{key: value for key, value in node.items() if not key.startswith("_")})
