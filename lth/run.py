"""`lth run`: config -> values -> job. The only door to Hydra; nothing heavy is imported before the config is good."""

import difflib
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import hydra
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import ConfigCompositionException, HydraException, InstantiationException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lth.check import ConfigError, check, leaves

if TYPE_CHECKING:
    from lth.job import Job

_here = Path(__file__).resolve().parent
CONF = next(folder for folder in (_here / "conf", _here.parent / "conf") if (folder / "config.yaml").is_file())
INTERRUPTED = 130
# ${scaled:full,reduced} in a config: the first value as the paper has it, the second under scale=reduced.
OmegaConf.register_new_resolver(
    "scaled", lambda full, reduced, *, _root_: full if _root_.scale == "full" else reduced, replace=True
)
VALUED_FLAGS = ("--config-dir", "-cd", "--config-name", "-cn", "--config-path", "-cp", "--package", "-p", "--cfg", "-c")


def main(arguments: Sequence[str]) -> int:
    """Run `lth run` with these arguments; returns the exit code."""
    asking = bool({"--help", "-h", "--hydra-help", "--version", "--info", "-i"} & set(arguments))
    try:
        first = None if asking else _check_all(arguments)
    except ConfigError as error:
        print(f"lth run: {error}", file=sys.stderr)
        return 2
    if first is not None and not _made(Path(str(first.root))):
        return 1
    sys.argv = ["lth run", *_after_groups(_flags_first(arguments))]
    sys.path.insert(0, str(Path.cwd()))  # so that mine.py in the working directory is found by _target_: mine.function
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # waiting threads of a neighbour must not spin
    codes: list[int] = []
    sweeping = bool({"-m", "--multirun"} & set(arguments))
    before = signal.signal(signal.SIGINT, _patient) if sweeping else signal.getsignal(signal.SIGINT)
    task = hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(lambda cfg: _job(cfg, codes))
    try:
        task()
    except SystemExit as end:
        codes.append(end.code if isinstance(end.code, int) else 1)
    except KeyboardInterrupt:
        print("lth run: stopped; the same command goes on from here", file=sys.stderr)
        return INTERRUPTED
    finally:
        signal.signal(signal.SIGINT, before)
    if first is not None and sweeping and not first.plan:
        _report(first)
    return max(codes, default=0)


def _patient(number: int, frame: FrameType | None) -> None:
    """Ctrl-C reaches the jobs of a sweep too; a launcher that hears of it kills them, so they get a second to save."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    time.sleep(1)
    raise KeyboardInterrupt


def _made(root: Path) -> bool:
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        print(f"lth run: can't write to {root}: {error.strerror}. Name another folder with root=", file=sys.stderr)
        return False
    return True


def _flags_first(arguments: Sequence[str]) -> list[str]:
    """Hydra's parser wants all overrides in one place; a person puts flags anywhere."""
    overrides = [a for a in arguments if not a.startswith("-") and a not in _flag_values(arguments)]
    return [*(a for a in arguments if a not in overrides), *overrides]


def _after_groups(arguments: Sequence[str]) -> list[str]:
    """Where a group is swept, Hydra first composes what is not swept without it, and finds no data.root in the usual
    data; so the rest of the overrides become sweeps of a single value.
    """

    def swept(argument: str) -> bool:
        return bool(OverridesParser.create().parse_override(argument).is_sweep_override())

    given = [a for a in arguments if a not in _flag_values(arguments)]
    words = [a for a in given if "=" in a and not a.startswith(("-", "~", "hydra"))]
    if not any(_is_group(word) and swept(word) for word in words):
        return [*arguments]
    single = {w: "{}=choice({})".format(*w.split("=", 1)) for w in words if not _is_group(w) and not swept(w)}
    return [single.get(argument, argument) for argument in arguments]


def _flag_values(arguments: Sequence[str]) -> list[str]:
    return [value for flag, value in pairwise(arguments) if flag in VALUED_FLAGS]


def _report(cfg: DictConfig) -> None:
    from lth import command

    command.report(Path(str(cfg.root)), str(cfg.name))


class JobFailed(Exception):
    """Tells a launcher that a job of a sweep failed; the job has said why."""


def _job(cfg: DictConfig, codes: list[int]) -> None:
    """One job, in this process or in one of a launcher; a sweep goes on when it raises."""
    sweeping = HydraConfig.get().mode == RunMode.MULTIRUN
    if sys.stderr.isatty() and not sweeping:
        print("loading PyTorch and Lightning ...", end="\r", file=sys.stderr, flush=True)
    from lth import command

    tracking = made(cfg.tracking)
    root = Path(str(cfg.root))
    setting = command.Setting(root, tracking, _plain(cfg), cfg.store.keep, cfg.threads, cfg.plan, sweeping)
    codes.append(command.run(lambda: values(cfg), setting))
    if sweeping and codes[-1] == INTERRUPTED:
        raise KeyboardInterrupt
    if sweeping and codes[-1]:
        raise JobFailed(f"replicate {cfg.replicate} of {cfg.name}: exit code {codes[-1]}")


def made(node: DictConfig) -> Any:
    """What a node stands for; raises ValueError with the reason that the function itself gives."""
    try:
        value = hydra.utils.instantiate(node, _convert_="all")
    except InstantiationException as error:
        cause = error.__cause__
        message = f"{cause}" if isinstance(cause, OSError | ValueError) else f"{error}".partition(", set env var")[0]
        raise ValueError(message) from error
    # Hydra's own partial checks its target again at every call, and some of these are called in every step.
    return partial(value.func, **value.keywords) if isinstance(value, partial) else value


def values(cfg: DictConfig) -> "Job":
    """The values that a configuration stands for."""
    from lth.engine import compilable, fastest
    from lth.job import Branch, Job
    from lth.recipe import Recipe

    recipe = Recipe(
        model=made(cfg.model),
        data=made(cfg.data),
        optimizer=made(cfg.optimizer),
        lr=made(cfg.lr),
        steps=cfg.steps,
        batch_size=cfg.batch_size,
        evaluate_every=cfg.evaluate_every,
        augment=made(cfg.augment),
        precision="fp32" if cfg.precision == "auto" else cfg.precision,
        compile=cfg.compile,
    )
    if cfg.precision == "auto":
        recipe = replace(recipe, precision=fastest(recipe.net(), cfg.device))
    if recipe.compile:
        compilable(recipe, recipe.net())  # or raise before anything is trained
    return Job(
        name=str(cfg.name),
        recipe=recipe,
        init=made(cfg.init),
        criterion=made(cfg.criterion),
        scope=made(cfg.scope),
        density=made(cfg.density),
        rewind=made(cfg.rewind),
        levels=_plain(cfg)["levels"],
        replicate=cfg.replicate,
        branches={
            name: Branch(**{**made(node), "transform": made(node.transform)}) for name, node in _branches(cfg).items()
        },
        device=cfg.device,
        reduced=_reductions(cfg),
    )


def _reductions(cfg: DictConfig) -> str:
    """What scale=reduced changes, such as "steps 4000 of 20000"; nothing at full scale."""
    unscaled = cfg.copy()
    unscaled.scale = "full"
    now, full = leaves(_plain(cfg)), leaves(_plain(unscaled))
    idle = tuple(f"branch.{name}." for name in (cfg.get("branch") or {}) if name not in _branches(cfg))
    changed = [key for key in now if now[key] != full[key] and key != "scale" and not key.startswith(idle)]
    return ", ".join(f"{key} {now[key]} instead of {full[key]}" for key in changed)


def _branches(cfg: DictConfig) -> dict[str, DictConfig]:
    """The controls that were chosen; an experiment says of its own at which levels, also if branch= chooses others."""
    return {str(name): node for name, node in (cfg.get("branch") or {}).items() if "transform" in node}


def _check_all(arguments: Sequence[str]) -> DictConfig:
    """Compose every value of a sweep once, so that a wrong one is named at once and not after the first job; returns
    the configuration of the first job.
    """
    valued = dict(pairwise(arguments))
    given = [a for a in _flags_first(arguments) if not a.startswith("-") and a not in _flag_values(arguments)]
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
                usual = compose("config", [*filter(_is_group, chosen), *search])
                cfg = compose("config", [*chosen, *search])
                check(_plain(cfg), _plain(usual))
                if cfg.scale == "reduced" and not _reductions(cfg):
                    raise ConfigError(f"scale=reduced: nothing of {cfg.name} has a reduced size; give steps= and levels=")
            return compose("config", [*first, *search])
    except (ConfigCompositionException, HydraException, OmegaConfBaseException, ValueError) as error:
        raise ConfigError(_explained(error)) from error


def _is_group(override: str) -> bool:
    key = override.split("=", 1)[0].lstrip("+~").split("@")[0]
    return (CONF / key).is_dir() or key.startswith("hydra/")


def _plain(cfg: DictConfig) -> dict[str, Any]:
    plain: Any = OmegaConf.to_container(cfg, resolve=True)
    return plain  # type: ignore[no-any-return]


def _explained(error: Exception) -> str:
    """Hydra's message, and the key that was probably meant."""
    message = str(error).partition("Config search path")[0].strip()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        keys = {key for key in leaves(_plain(compose("config"))) if not key.endswith("_")}
    keys |= {folder.name for folder in CONF.iterdir() if folder.is_dir() and folder.name != "hydra"}
    wrong = message.partition("'")[2].partition("'")[0].split("=")[0]
    close = difflib.get_close_matches(wrong, keys, n=2, cutoff=0.7)
    if "Got NoneType" in message:
        message = "a group can't be null: name one of its options (of branch several, or none: branch=[])"
    if "To append to your config" in message:
        message = f"there is no key '{wrong}'"
    meant = f". Did you mean {' or '.join(close)}?" if close else ""
    return f"{message}{meant} (lth run --help lists what there is)"
