"""`lth run`: config -> values -> job. The only door to Hydra; nothing heavy is imported before the config is good."""

import difflib
import os
import sys
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import ConfigCompositionException, HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lth import density, lr

if TYPE_CHECKING:
    from lth.job import Job

_here = Path(__file__).resolve().parent
CONF = next(folder for folder in (_here / "conf", _here.parent / "conf") if (folder / "config.yaml").is_file())
CHOICES = {
    "data.scaling": ("standardize", "unit", "none"),
    "store.keep": ("all", "last", "none"),
    "tracking.mode": ("offline", "online", "disabled"),
}
VALUED_FLAGS = ("--config-dir", "-cd", "--config-name", "-cn", "--config-path", "-cp", "--package", "-p", "--cfg", "-c")
AT_LEAST = {"steps": 1, "batch_size": 1, "evaluate_every": 1, "replicate": 0, "threads": 1}


class ConfigError(Exception):
    """A key or value that can't be meant."""


def main(arguments: Sequence[str]) -> int:
    """Run `lth run` with these arguments; returns the exit code."""
    asking = bool({"--help", "-h", "--hydra-help", "--version", "--info", "-i"} & set(arguments))
    try:
        first = None if asking else _check_all(arguments)
    except ConfigError as error:
        print(f"lth run: {error}", file=sys.stderr)
        return 2
    sys.argv = ["lth run", *arguments]
    sys.path.insert(0, str(Path.cwd()))  # so that mine.py in the working directory is found by _target_: mine.function
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # waiting threads of a neighbour must not spin
    codes: list[int] = []
    task = hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(lambda cfg: _job(cfg, codes))
    try:
        task()
    except SystemExit as end:
        codes.append(end.code if isinstance(end.code, int) else 1)
    except KeyboardInterrupt:
        codes.append(130)
    if first is not None and {"-m", "--multirun"} & set(arguments) and not first.plan:
        _report(first)
    return max(codes, default=0)


def _report(cfg: DictConfig) -> None:
    from lth import command

    command.report(Path(cfg.root), cfg.name)


class JobFailed(Exception):
    """Tells a launcher that a job of a sweep failed; the job has said why."""


def _job(cfg: DictConfig, codes: list[int]) -> None:
    """One job, in this process or in one of a launcher; a sweep goes on when it raises."""
    sweeping = HydraConfig.get().mode == RunMode.MULTIRUN
    if sys.stderr.isatty() and not sweeping:
        print("loading PyTorch and Lightning ...", end="\r", file=sys.stderr, flush=True)
    from lth import command

    config: Any = OmegaConf.to_container(cfg, resolve=True)
    tracking = hydra.utils.instantiate(cfg.tracking)
    setting = command.Setting(Path(cfg.root), tracking, config, cfg.threads, cfg.plan, sweeping)
    codes.append(command.run(lambda: values(cfg), setting))
    if sweeping and codes[-1]:
        raise JobFailed(f"replicate {cfg.replicate} of {cfg.name}: exit code {codes[-1]}")


def values(cfg: DictConfig) -> "Job":
    """The values that a configuration stands for."""
    from lth.job import Branch, Job
    from lth.recipe import Recipe

    def made(node: Any, **arguments: Any) -> Any:
        value = hydra.utils.instantiate(node, _convert_="all", **arguments)
        # Hydra's own partial checks its target again at every call, and some of these are called in every step.
        return partial(value.func, **value.keywords) if isinstance(value, partial) else value

    recipe = Recipe(
        model=made(cfg.model),
        data=made(cfg.data),
        optimizer=made(cfg.optimizer),
        lr=made(cfg.lr),
        steps=cfg.steps,
        batch_size=cfg.batch_size,
        evaluate_every=cfg.evaluate_every,
    )
    return Job(
        name=cfg.name,
        recipe=recipe,
        init=made(cfg.init),
        criterion=made(cfg.criterion),
        scope=made(cfg.scope),
        density=made(cfg.density),
        rewind=made(cfg.rewind),
        levels=_levels(cfg),
        replicate=cfg.replicate,
        branches={
            name: Branch(**{**made(node), "transform": made(node.transform)})
            for name, node in (cfg.get("branch") or {}).items()
        },
        keep=cfg.store.keep,
        device=cfg.device,
    )


def check(cfg: DictConfig, usual: DictConfig) -> None:
    """Raises ConfigError for a value that can't be meant, before anything heavy is imported."""
    for key, default in _leaves(usual).items():
        value = OmegaConf.select(cfg, key)
        _check_type(key, value, default)
        if key in CHOICES and value not in CHOICES[key]:
            raise ConfigError(f"{key}={value}: choose one of {', '.join(CHOICES[key])}")
        if key in AT_LEAST and value < AT_LEAST[key]:
            raise ConfigError(f"{key}={value}: must be at least {AT_LEAST[key]}")
    _check_extra(cfg, usual)
    step = OmegaConf.select(cfg, "rewind.step")
    if step is not None and not 0 <= step < cfg.steps:
        raise ConfigError(f"rewind.step={step}: training has {cfg.steps} steps, rewind to one of 0 to {cfg.steps - 1}")
    if "learning_rate" in str(OmegaConf.select(cfg, "rewind._target_")) and cfg.store.keep != "all":
        raise ConfigError(f"store.keep={cfg.store.keep}: rewind=learning_rate goes on from W_T, use store.keep=all")
    _check_ladder(cfg)


def _check_extra(cfg: DictConfig, usual: DictConfig) -> None:
    """Keys added by "+": good for a function of the user's own or of another library, whose arguments we don't know."""
    for key in _leaves(cfg).keys() - _leaves(usual).keys():
        group = key.partition(".")[0]
        target = str(OmegaConf.select(cfg, f"{group}._target_") or "lth.")
        if target.startswith("lth."):
            raise ConfigError(f"there is no key '{key}' (lth run --help lists what there is)")


def _levels(cfg: DictConfig) -> Any:
    return OmegaConf.to_container(cfg.levels) if isinstance(cfg.levels, ListConfig) else cfg.levels


def _check_ladder(cfg: DictConfig) -> None:
    levels = _levels(cfg)
    if not all(type(level) is int for level in (levels if isinstance(levels, list) else [levels])):
        raise ConfigError(f"levels={levels}: must be a whole number such as 6, or a list of them such as [0,3,7]")
    ours = {f"lth.density.{f.__name__}": f for f in (density.iterative, density.one_shot)}
    rates = {k: v for k, v in cfg.density.items() if not str(k).startswith("_")}
    try:
        density.rungs(levels)
        if function := ours.get(cfg.density.get("_target_")):
            function(levels, **rates)
        if str(cfg.lr.get("_target_")).startswith(lr.__name__):
            hydra.utils.instantiate(cfg.lr)(0)
    except (ValueError, TypeError) as error:
        raise ConfigError(str(error)) from error


def _check_all(arguments: Sequence[str]) -> DictConfig:
    """Compose every value of a sweep once, so that a wrong one is named at once and not after the first job; returns
    the configuration of the first job.
    """
    valued = dict(pairwise(arguments))
    behind = [valued[flag] for flag in VALUED_FLAGS if flag in valued]
    given = [a for a in arguments if not a.startswith("-") and a not in behind]
    folder = valued.get("--config-dir", valued.get("-cd"))
    search = [f"hydra.searchpath=[file://{Path(folder).resolve()}]"] if folder else []
    try:
        overrides = OverridesParser.create().parse_overrides(given)
        lists = [
            [f"{o.get_key_element()}={v}" for v in o.sweep_string_iterator()]
            if o.is_sweep_override()
            else [o.input_line]
            for o in overrides
        ]
        first = [str(options[0]) for options in lists]
        others = [[*first[:i], str(o), *first[i + 1 :]] for i, options in enumerate(lists) for o in options[1:]]
        with initialize_config_dir(str(CONF), version_base="1.3"):
            for chosen in [first, *others]:
                check(compose("config", [*chosen, *search]), compose("config", [*filter(_is_group, chosen), *search]))
            return compose("config", [*first, *search])
    except (ConfigCompositionException, HydraException, OmegaConfBaseException) as error:
        raise ConfigError(_explained(error)) from error


def _is_group(override: str) -> bool:
    key = override.split("=", 1)[0].lstrip("+~").split("@")[0]
    return (CONF / key).is_dir() or key.startswith("hydra/")


def _leaves(cfg: DictConfig, prefix: str = "") -> dict[str, Any]:
    leaves: dict[str, Any] = {}
    for key, value in cfg.items_ex(resolve=False):
        name = f"{prefix}{key!s}"
        leaves |= _leaves(value, f"{name}.") if isinstance(value, DictConfig) else {name: value}
    return leaves


def _check_type(key: str, value: Any, default: Any) -> None:
    if default is None or key.endswith("_target_") or key == "levels":
        return
    wanted: tuple[type, ...] = (int, float) if isinstance(default, float) else (type(default),)
    if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
        names = {bool: "true or false", int: "a whole number", str: "text", ListConfig: "a list such as [1,2]"}
        meant = "a number" if float in wanted else names.get(wanted[0], wanted[0].__name__)
        raise ConfigError(f"{key}={value}: must be {meant}, such as {default}")


def _explained(error: Exception) -> str:
    """Hydra's message, and the key that was probably meant."""
    message = str(error).partition("Config search path")[0].strip()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        keys = {key for key in _leaves(compose("config")) if not key.endswith("_")}
    keys |= {folder.name for folder in CONF.iterdir() if folder.is_dir() and folder.name != "hydra"}
    wrong = message.partition("'")[2].partition("'")[0].split("=")[0]
    close = difflib.get_close_matches(wrong, keys, n=2, cutoff=0.7)
    if "To append to your config" in message:
        message = f"there is no key '{wrong}'"
    meant = f". Did you mean {' or '.join(close)}?" if close else ""
    return f"{message}{meant} (lth run --help lists what there is)"
