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
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import ConfigCompositionException, HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from lth import UserError
from lth.analysis import document
from lth.cli.config import start
from lth.cli.config.choices import choice
from lth.cli.config.conf import CONF, plain, reductions
from lth.cli.config.files import check_files
from lth.cli.config.keys import leaves
from lth.cli.config.literal import quoted
from lth.cli.config.overrides import expand, extremes, is_group, searches
from lth.cli.config.reference import options_with
from lth.cli.config.trial import trial
from lth.cli.config.validate import validate


def validated(overrides: Sequence[str], folder: Path | None = None) -> list[DictConfig]:
    """Validate every value of a sweep once, before its first job; returns the configuration of the first job, and one
    for every other value. folder: the value of --config-dir.
    """
    check_files(overrides, folder)
    search = search_path(folder)
    with errors_explained(), initialize_config_dir(str(CONF), version_base="1.3"):
        options = (extremes if searches(overrides) else expand)(overrides)
        first = [values[0] for values in options]
        others = [[*first[:i], value, *first[i + 1 :]] for i, values in enumerate(options) for value in values[1:]]
        usual = cache(lambda groups: plain(compose("config", [*groups, *search]))) if search else _usual
        return [_validated([*each, *search], usual) for each in [first, *others]]


def compositions(overrides: Sequence[str], folder: Path | None = None) -> list[tuple[DictConfig, tuple[str, ...]]]:
    """The configuration of every job of a sweep, such as replicate=1,2,3, and its overrides; raises UserError."""
    if searches(overrides):
        raise UserError("hydra/sweeper=optuna: the jobs of a search are not known before; give the values of one job")
    validated(overrides, folder)
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return [(trial(compose("config", [*each, *search_path(folder)])), each) for each in product(*expand(overrides))]


def composed(overrides: Sequence[str], folder: Path | None = None) -> DictConfig:
    """The configuration of the first job of a sweep, with Hydra's own node."""
    with errors_explained(), initialize_config_dir(str(CONF), version_base="1.3"):
        first = [values[0] for values in (extremes if searches(overrides) else expand)(overrides)]
        return compose("config", [*first, *search_path(folder)], return_hydra_config=True)


@cache
def _usual(groups: tuple[str, ...]) -> dict[str, Any]:
    """The configuration of these config groups, of lth's own options, without entries that are left out."""
    return plain(compose("config", [*groups]))


def _validated(overrides: list[str], usual: Callable[[tuple[str, ...]], dict[str, Any]]) -> DictConfig:
    """Compose and validate. usual: config groups, and entries that are left out -> their configuration."""
    cfg = compose("config", overrides)
    _check_complete(plain(cfg))
    validate(plain(cfg), usual(tuple(each for each in overrides if is_group(each) or _leaves_out(each, overrides))))
    if cfg.start is not None:
        words = start.beside(cfg.start, overrides)
        with of_start(cfg.start), errors_explained():
            _validated(words, usual)
    if cfg.scale == "reduced" and not reductions(cfg):
        raise UserError(f"scale=reduced: nothing of {cfg.name} has a reduced size; give steps= and levels=")
    small = trial(cfg)
    if cfg.debug:
        validate(plain(small), plain(small))
    return small


def started_from(cfg: DictConfig, overrides: Sequence[str], folder: Path | None = None) -> DictConfig:
    """The configuration of the run that `cfg` takes its tickets from. overrides: those that made `cfg`."""
    with _aside(), initialize_config_dir(str(CONF), version_base="1.3"):
        there = trial(compose("config", [*start.beside(cfg.start, overrides), *search_path(folder)]))
    if cfg.debug:
        there.levels = cfg.levels  # a trial of some of many levels has the first ones of each
    return there


@contextmanager
def _aside() -> Iterator[None]:
    """Put Hydra's state aside, where it composes or runs a job, so that another configuration can be composed."""
    state = GlobalHydra.instance()
    before, state.hydra = state.hydra, None
    try:
        yield
    finally:
        state.hydra = before


@contextmanager
def of_start(start: str) -> Iterator[None]:
    """Let an error in the run that tickets are taken from name it."""
    try:
        yield
    except UserError as error:
        raise UserError(f"start={start}: {error}", code=error.code) from error


def _check_complete(config: dict[str, Any]) -> None:
    """Raise UserError if a config group or key that a run needs was deleted, or a group is null by a defaults list."""
    usual = document.read(CONF / "config.yaml")
    groups = {group: option for entry in usual["defaults"] if entry != "_self_" for group, option in entry.items()}
    for group in (group for group in groups if groups[group] is not None and " " not in group):  # the others override
        if _is_nothing(config.get(group), usual.get(group, {})):
            raise UserError(
                f"{group} is missing: it can't be left out or null; choose an option, such as {groups[group]}"
            )
    given = leaves(config)
    for key, value in leaves({name: usual[name] for name in usual.keys() - {"defaults", "hydra"}}).items():
        if any(each.startswith(f"{key}.") for each in given):
            raise UserError(f"{key} takes one value, and was given several with keys; its default is {value}")
        if key not in given:
            raise UserError(f"{key} is missing: it can't be left out; its default is {value}")


def _is_nothing(node: Any, usual: dict[str, Any]) -> bool:
    """True if a group has no option: no more than the keys that every option of it has."""
    return node is None or (isinstance(node, dict) and node.keys() <= usual.keys())


def search_path(folder: Path | None) -> list[str]:
    """The override that adds the folder of --config-dir, if it is given."""
    return [f"hydra.searchpath=[{quoted(f'file://{folder.resolve()}')}]"] if folder else []


@contextmanager
def errors_explained() -> Iterator[None]:
    """Make errors of Hydra a UserError."""
    try:
        yield
    except UserError:
        raise
    except RecursionError as error:
        raise UserError("files of the configuration name each other, or themselves, in their defaults lists: take out "
                        "the entry that closes the circle") from error  # fmt: skip
    except (ConfigCompositionException, HydraException, OmegaConfBaseException, ValueError) as error:
        raise UserError(explanation(error)) from error


def remedy(message: str, wrong: str) -> str:
    """The remedy for a key of a group that is off."""
    if message.startswith("there is no key") and (having := options_with(wrong)):
        one = "that" if len(having) == 1 else "one of them"
        return f" as the groups are chosen; it belongs to {', '.join(having)}: add {one}"
    return ""


def addition(message: str, wrong: str) -> str:
    """The override that gives a function another argument, if it is not one of lth's."""
    group = wrong.partition(".")[0]
    if group == wrong or not message.startswith("there is no key") or not (CONF / group).is_dir():
        return ""
    own = "" if group == "optimizer" else ", if its function is not one of lth's"
    return f"; +{wrong}=... adds it{own}"


def _leaves_out(override: str, overrides: Sequence[str]) -> bool:
    """Test whether an override, such as ~branch.shuffle, leaves out an entry that none of the others adds."""
    if not re.fullmatch(r"~(branch|quantization)\.[^.=]+", override):
        return False
    return not any(each.lstrip("+").startswith(f"{override[1:]}.") and each[0] == "+" for each in overrides)


def _left_out(message: str) -> str:
    """The error of a branch that takes the value of one that is left out, from Hydra's message; empty for others."""
    if not (found := re.search(r"Interpolation key '(branch\.\S+)' not found\s+full_key: (branch\.\S+)", message)):
        return ""
    there, here = (".".join(key.split(".")[:2]) for key in found.groups())
    idle = f"{there}.levels=[] trains nothing of it"
    what = f"{found[2]} takes the value of {found[1]}, which is left out"
    return f"{what}: keep {there} ({idle}), or leave {here} out too" if there != here else ""


def explanation(error: Exception) -> str:
    """Hydra's message, and the keys that may have been meant."""
    message = str(error).partition("Config search path")[0].strip()
    if sentence := _left_out(message):
        return sentence
    with _aside(), initialize_config_dir(str(CONF), version_base="1.3"):
        keys = {key for key in leaves(plain(compose("config"))) if not key.endswith("_")}
    keys |= {folder.name for folder in CONF.iterdir() if folder.is_dir() and folder.name != "hydra"}
    if sentence := choice(message):
        return sentence
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
