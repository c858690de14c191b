"""Command line -> configuration, validated before anything heavy is imported."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

from hydra import compose
from omegaconf import DictConfig, OmegaConf

from lth import UserError
from lth.analysis import document
from lth.cli.config import start
from lth.cli.config.conf import CONF, plain, reductions
from lth.cli.config.explain import composing, errors_explained
from lth.cli.config.files import check_files
from lth.cli.config.idle import check_addressed, check_idle
from lth.cli.config.keys import leaves
from lth.cli.config.literal import literal, quoted
from lth.cli.config.overrides import expand, extremes, is_group, is_swept, searches
from lth.cli.config.trial import trial
from lth.cli.config.validate import validate


def validated(overrides: Sequence[str], folder: Path | None = None) -> list[DictConfig]:
    """Validate every value of a sweep once, before its first job; returns the configuration of the first job, and one
    for every other value. folder: the value of --config-dir.
    """
    check_files(overrides, folder)
    search = search_path(folder)
    with errors_explained(), composing():
        options = (extremes if searches(overrides) else expand)(overrides)
        first = [values[0] for values in options]
        others = [[*first[:i], value, *first[i + 1 :]] for i, values in enumerate(options) for value in values[1:]]
        usual = cache(lambda groups: plain(compose("config", [*groups, *search]))) if search else _usual
        found = [_validated([*each, *search], usual, folder) for each in [first, *others]]
    check_addressed(found, overrides, folder)
    return found


def compositions(overrides: Sequence[str], folder: Path | None = None) -> list[tuple[DictConfig, tuple[str, ...]]]:
    """The configuration of every job of a sweep, such as replicate=1,2,3, and its overrides; raises UserError."""
    if searches(overrides):
        raise UserError("hydra/sweeper=optuna: the jobs of a search are not known before; give the values of one job")
    validated(overrides, folder)
    with composing():
        return [(trial(compose("config", [*each, *search_path(folder)])), each) for each in product(*expand(overrides))]


def composed(overrides: Sequence[str], folder: Path | None = None) -> DictConfig:
    """The configuration of the first job of a sweep, with Hydra's own node."""
    with errors_explained(), composing():
        first = [values[0] for values in (extremes if searches(overrides) else expand)(overrides)]
        return compose("config", [*first, *search_path(folder)], return_hydra_config=True)


def sweeper_params(overrides: Sequence[str], folder: Path | None = None) -> dict[str, Any]:
    """Values that hydra.sweeper.params holds in configuration files of the user's own: lth's own hold none. Raises
    UserError if an option that is swept holds others.
    """
    if folder is None:
        return {}
    check_files(overrides, folder)
    groups = literal([word for word in overrides if is_group(word)], sweeping=True, folder=folder)
    with errors_explained(), composing():
        fixed = [word for word in groups if not is_swept(word)]
        found = _params([*fixed, *search_path(folder)])
        for option in (option for word in groups if is_swept(word) for option in expand([word])[0]):
            if _params([*fixed, option, *search_path(folder)]) != found:
                raise UserError(
                    f"{option}: it is swept, and its hydra.sweeper.params would hold for it alone; give their values "
                    "on the command line"
                )
    return found


def _params(overrides: Sequence[str]) -> dict[str, Any]:
    sweeper: Any = OmegaConf.to_container(compose("config", [*overrides], return_hydra_config=True).hydra.sweeper)
    return sweeper.get("params") or {}


@cache
def _usual(groups: tuple[str, ...]) -> dict[str, Any]:
    """The configuration of these config groups, of lth's own options, without entries that are left out."""
    return plain(compose("config", [*groups]))


def _validated(
    overrides: list[str], usual: Callable[[tuple[str, ...]], dict[str, Any]], folder: Path | None
) -> DictConfig:
    """Compose and validate. usual: config groups, and entries that are left out -> their configuration."""
    cfg = compose("config", overrides)
    config = plain(cfg)
    _check_complete(config)
    check_idle(config, overrides, folder)
    groups = tuple(each for each in overrides if is_group(each) or _leaves_out(each, overrides))
    validate(config, usual(groups))
    if cfg.start is not None:
        words = start.beside(cfg.start, overrides)
        with of_start(cfg.start), errors_explained():
            check_addressed([_validated(words, usual, folder)], start.words(cfg.start), folder)
    if cfg.scale == "reduced" and not reductions(cfg):
        raise UserError(f"scale=reduced: nothing of {cfg.name} has a reduced size, or all of it is set: leave it out, "
                        "and give the sizes, such as steps= and levels=")  # fmt: skip
    small = trial(cfg)
    if cfg.debug:
        validate(plain(small), plain(small))
    return small


def started_from(cfg: DictConfig, overrides: Sequence[str], folder: Path | None = None) -> DictConfig:
    """The configuration of the run that `cfg` takes its tickets from. overrides: those that made `cfg`."""
    with composing():
        there = trial(compose("config", [*start.beside(cfg.start, overrides), *search_path(folder)]))
    if cfg.debug:
        there.levels = cfg.levels  # a trial of some of many levels has the first ones of each
    return there


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
        group, _, name = key.partition(".")
        if name and group in given:
            raise UserError(f"{group}={given[group]}: {group} has keys of its own, such as {key}={given[group]}")
        if key not in given:
            raise UserError(f"{key} is missing: it can't be left out; its default is {value}")


def _is_nothing(node: Any, usual: dict[str, Any]) -> bool:
    """True if a group has no option: no more than the keys that every option of it has."""
    return node is None or (isinstance(node, dict) and node.keys() <= usual.keys())


def search_path(folder: Path | None) -> list[str]:
    """The override that adds the folder of --config-dir, if it is given."""
    return [f"hydra.searchpath=[{quoted(f'file://{folder.resolve()}')}]"] if folder else []


def _leaves_out(override: str, overrides: Sequence[str]) -> bool:
    """Test whether an override, such as ~branch.shuffle, leaves out an entry that none of the others adds."""
    if not re.fullmatch(r"~(branch|quantization)\.[^.=]+", override):
        return False
    return not any(each.lstrip("+").startswith(f"{override[1:]}.") and each[0] == "+" for each in overrides)
