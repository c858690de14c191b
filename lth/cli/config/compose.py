"""Command line -> configuration, validated before anything heavy is imported."""

import difflib
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.errors import ConfigCompositionException, HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from lth import UserError
from lth.analysis import document
from lth.cli.config.conf import CONF, plain, reductions
from lth.cli.config.keys import leaves
from lth.cli.config.literal import quoted
from lth.cli.config.overrides import expand, is_group
from lth.cli.config.reference import options_with
from lth.cli.config.validate import validate


def validated(overrides: Sequence[str], folder: Path | None = None) -> DictConfig:
    """Validate every value of a sweep once, before its first job; returns the configuration of the first job. folder:
    the value of --config-dir.
    """
    _check_files(overrides, folder)
    search = _search_path(folder)
    with _errors_explained(), initialize_config_dir(str(CONF), version_base="1.3"):
        options = expand(overrides)
        first = [values[0] for values in options]
        others = [[*first[:i], value, *first[i + 1 :]] for i, values in enumerate(options) for value in values[1:]]
        usual = cache(lambda groups: plain(compose("config", [*groups, *search])))
        configurations = [_validated([*each, *search], usual) for each in [first, *others]]
        return configurations[0]


def compositions(overrides: Sequence[str], folder: Path | None = None) -> list[DictConfig]:
    """The configuration of every job of a sweep, such as replicate=1,2,3; raises UserError."""
    validated(overrides, folder)
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return [compose("config", [*each, *_search_path(folder)]) for each in product(*expand(overrides))]


def _validated(overrides: list[str], usual: Callable[[tuple[str, ...]], dict[str, Any]]) -> DictConfig:
    """Compose and validate. usual: config groups -> their configuration without other overrides."""
    cfg = compose("config", overrides)
    validate(plain(cfg), usual(tuple(filter(is_group, overrides))))
    if cfg.scale == "reduced" and not reductions(cfg):
        raise UserError(f"scale=reduced: nothing of {cfg.name} has a reduced size; give steps= and levels=")
    return cfg


def _search_path(folder: Path | None) -> list[str]:
    """The override that adds the folder of --config-dir, if it is given."""
    return [f"hydra.searchpath=[{quoted(f'file://{folder.resolve()}')}]"] if folder else []


def _check_files(overrides: Sequence[str], folder: Path | None) -> None:
    """Raise UserError if a file of the user's config groups is a bomb, before Hydra reads it."""
    if folder is None:
        return
    groups = {each.name for each in CONF.iterdir() if each.is_dir()}
    groups |= {override.lstrip("+~").partition("=")[0].partition("@")[0] for override in overrides if "=" in override}
    for group in sorted(each for each in groups if (folder / each).is_dir()):
        for file in sorted((folder / group).rglob("*.yaml")):
            document.check(file)


@contextmanager
def _errors_explained() -> Iterator[None]:
    try:
        yield
    except UserError:
        raise
    except (ConfigCompositionException, HydraException, OmegaConfBaseException, ValueError) as error:
        raise UserError(explanation(error)) from error


# Launchers of Hydra that are packages of their own -> what installs them.
LAUNCHERS = {
    "submitit_slurm": "'lth[slurm]'",
    "submitit_local": "'lth[slurm]'",
    "ray": "hydra-ray-launcher",
    "ray_aws": "hydra-ray-launcher",
    "rq": "hydra-rq-launcher",
}


def remedy(message: str, wrong: str) -> str:
    """The remedy for a launcher that is not installed, and for a key of a group that is off."""
    launcher = re.search(r"Could not find 'hydra/launcher/(\w+)'", message)
    if launcher and launcher[1] in LAUNCHERS:
        return f". pip install {LAUNCHERS[launcher[1]]} installs it"
    if message.startswith("there is no key") and (having := options_with(wrong)):
        return f" as the groups are chosen; it belongs to {' or '.join(having)}: add that"
    return ""


def addition(message: str, wrong: str) -> str:
    """The override that gives a function another argument, if it is not one of lth's."""
    group = wrong.partition(".")[0]
    if group == wrong or not message.startswith("there is no key") or not (CONF / group).is_dir():
        return ""
    own = "" if group == "optimizer" else ", if its function is not one of lth's"
    return f"; +{wrong}=... adds it{own}"


def explanation(error: Exception) -> str:
    """Hydra's message, and the keys that may have been meant."""
    message = str(error).partition("Config search path")[0].strip()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        keys = {key for key in leaves(plain(compose("config"))) if not key.endswith("_")}
    keys |= {folder.name for folder in CONF.iterdir() if folder.is_dir() and folder.name != "hydra"}
    wrong = message.partition("'")[2].partition("'")[0].split("=")[0]
    close = difflib.get_close_matches(wrong, keys, n=2, cutoff=0.7)
    if "Got NoneType" in message:
        message = "a config group can't be null: name one of its options (for no branch: branch=[])"
    if "To append to your config" in message:
        message = f"there is no key '{wrong}'"
    nearly = difflib.get_close_matches(wrong, keys, n=1, cutoff=0.85)
    meant = remedy(message, wrong) or ("" if nearly else addition(message, wrong))
    meant = meant or (f". Did you mean {' or '.join(close)}?" if close else "")
    return f"{message}{meant} (lth run --help lists all keys)"
