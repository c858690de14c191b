"""Overrides whose values Hydra's grammar would misread: quoted, so that a path or a name is what was typed."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Glob, Override, Quote, QuotedString
from hydra.errors import HydraException

from lth import UserError
from lth.analysis.registry import CONF, names
from lth.cli.config.choices import options
from lth.cli.config.overrides import is_group
from lth.cli.override import PATHS, key_of
from lth.store.names import shown

# Keys whose value is text: 1e3, a,b and a\ b stand for themselves, in a sweep too.
TEXT = ("name", *PATHS, "tracking.project")


def literal(overrides: Sequence[str], *, sweeping: bool, folder: Path | None = None) -> list[str]:
    """Quote values that Hydra would misread, and list the options of patterns such as model=glob(lenet*). Raises
    UserError for what is no override, for an option that lies outside of its config group, for more folders of
    configuration, for a job in a folder of its own and, unless `sweeping`, for several values of a key. folder: that of
    --config-dir.
    """
    readable = [_listed(_literal(override, sweeping), folder) for override in overrides]
    if moved := [each for each in readable if re.fullmatch(r"\+*hydra\.job\.chdir=(?!false$).*", each, re.IGNORECASE)]:
        raise UserError(f"{moved[0]}: leave it out, since root and all other paths begin in the folder that you are in")
    if searched := [each for each in readable if each.lstrip("+~").startswith("hydra.searchpath")]:
        raise UserError(f"{searched[0]}: --config-dir DIR adds a folder of yours to lth's configuration")
    for override in filter(is_group, readable):
        _check_choice(override)
    return readable


def quoted(text: str) -> str:
    """Text as Hydra reads it back, whatever its characters."""
    return QuotedString(text, Quote.single).with_quotes()


def _literal(override: str, sweeping: bool) -> str:
    key, equals, value = override.partition("=")
    if key.lstrip("+") == "start" and value[:1] in ("[", "{"):
        raise UserError(f"{override}: give its overrides as one text, such as start='optimizer=sgd optimizer.lr=0.1'")
    found, is_text = parsed(override), key.lstrip("+") in TEXT
    if found is None:
        if equals and value[:1] in ("[", "{") and not is_text:
            return override  # Hydra's own message names the place
        values = value.split(",") if sweeping and not is_text else [value]
        if "" in values[1:] or values[0] == "" != value:
            raise UserError(f"{override}: one of its values is empty: remove a comma, or write ''")
        if not equals or parsed(literally := f"{key}={','.join(map(quoted, values))}") is None:
            known = f"experiment={override}" if override in names() else "steps=1000"
            raise UserError(f"{shown(override)}: write key=value, such as {known}")
        return literally
    if is_text and _misread(found, value):
        return f"{key}={quoted(value)}"
    if found.is_sweep_override() and not sweeping:
        several = isinstance(choice := found.value(), ChoiceSweep) and choice.simple_form
        else_ = f"a list is {key}=[{value}], text" if several else "text is"
        raise UserError(f"{override}: several values are a sweep, which needs -m; {else_} {key}='{value}' in another "
                        "pair of quotes for the shell")  # fmt: skip
    return override


def _listed(override: str, folder: Path | None) -> str:
    """The options of a config group that a pattern stands for, in place of the pattern: Hydra lists them too late."""
    found = parsed(override)
    if found is None or not isinstance(pattern := found.value(), Glob):
        return override
    if not is_group(override):
        raise UserError(f"{override}: a pattern matches options of a config group, such as model; give the values")
    there = options(key_of(override), [CONF, *([folder] if folder else [])])
    if not (matching := pattern.filter(there)):
        raise UserError(f"{override}: no option of {key_of(override)} matches; choose from {', '.join(there)}")
    return f"{override.partition('=')[0]}=choice({','.join(matching)})"


def parsed(override: str) -> Override | None:
    """An override as Hydra reads it; None if it can't."""
    try:
        return OverridesParser.create().parse_override(override)
    except HydraException:
        return None


def _misread(found: Override, typed: str) -> bool:
    """Test whether the value of a text key was parsed as anything but the text that was typed."""
    value: Any = found.value()
    if isinstance(value, ChoiceSweep):
        return value.simple_form  # choice(a,b) is a sweep, a,b a name
    if isinstance(value, str):  # a quoted value has been unquoted, which was meant
        return value != typed and "${" not in typed and typed[:1] not in ("'", '"')
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check_choice(override: str) -> None:
    """Raise UserError for a choice that leads out of its group."""
    for choice in _choices(override.partition("=")[2]):
        if leads_out(choice):
            raise UserError(
                f"{override}: {choice} is no option of a config group; choose one by its name (lth run --help lists "
                "them), your own from the folder of --config-dir"
            )


def leads_out(path: str) -> bool:
    """True for a path of a config group or option that may end outside of the folder that it begins in."""
    return bool({"", ".", ".."} & {*path.split("/")}) or "\\" in path


def _choices(value: str) -> Iterator[str]:
    return filter(None, re.split(r"[,\[\]()'\"\s]+", value))
