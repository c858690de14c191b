"""Values of entries of branch, quantization and stop that have no function, since they were not chosen."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from lth import UserError
from lth.analysis import document
from lth.cli.config.choices import options
from lth.cli.config.conf import CONF, chosen, idle, plain
from lth.cli.config.overrides import is_group
from lth.cli.override import key_of
from lth.store.names import did_you_mean, similar


def check_idle(config: dict[str, Any], overrides: Sequence[str], folder: Path | None) -> None:
    """Raise UserError for values of an entry that has no function, unless a file gave them to an option in whose place
    others were chosen.
    """
    groups = {key_of(word) for word in overrides if is_group(word)}
    for entry in idle(config):
        group, _, name = entry.partition(".")
        if name not in _entries(group, folder) or not (group in groups or chosen(config, group)):
            raise _not_chosen(entry, folder)


def check_addressed(configs: Sequence[DictConfig], overrides: Sequence[str], folder: Path | None) -> None:
    """Raise UserError for values that were typed for an entry which none of these configurations chooses."""
    keys = [f"{key_of(word)}." for word in overrides if not is_group(word) and word[:1] != "~"]
    first, *others = ([*idle(plain(each))] for each in configs)
    for entry in first:
        if any(key.startswith(f"{entry}.") for key in keys) and all(entry in each for each in others):
            raise _not_chosen(entry, folder)


def _not_chosen(entry: str, folder: Path | None) -> UserError:
    """The error for values of an entry without a function."""
    group, _, name = entry.partition(".")
    function, there = entry if group == "stop" else f"{entry}.transform", _entries(group, folder)
    meant = did_you_mean(similar(name, there)) if name not in there else ""
    option = there.get(name, name)
    return UserError(f"{entry} has values and no function: choose it, as by {group}=[{option}] or, in a file, "
                     f"override /{group}: [{option}], or give {function}._target_{meant}")  # fmt: skip


def _entries(group: str, folder: Path | None) -> dict[str, str]:
    """The entries that options of a group bring, each with its option, whose name it has unless its file has others."""
    folders = [CONF, *([folder] if folder else [])]
    files = [file for each in folders for file in (each / group).glob("*.yaml")]
    named = {str(key): file.stem for file in files if isinstance(found := document.read(file), dict) for key in found}
    named.pop("defaults", None)
    return {**named, **{option: option for option in options(group, folders)}}
