"""Overrides of a sweep: which keys have several values, and the jobs that they stand for."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep
from hydra.errors import HydraException

from lth import UserError
from lth.cli.config.bounds import LONGEST
from lth.cli.config.conf import CONF
from lth.cli.override import key_of


def is_group(override: str) -> bool:
    """Test whether an override chooses an option of a config group, such as model=mlp."""
    group = key_of(override)
    return group.startswith("hydra/") or (re.fullmatch(r"\w[\w/]*", group) is not None and (CONF / group).is_dir())


def swept_with_groups(overrides: Sequence[str]) -> list[str]:
    """Turn overrides into sweeps of one value where a config group is swept.

    Hydra first composes what is not swept, without the swept group, so that a key of its options would be unknown. Keys
    of no group, such as root, stay as they are: the launcher needs them.
    """
    values = [a for a in overrides if "=" in a and not a.startswith(("~", "hydra"))]
    if not any(is_group(override) and is_swept(override) for override in values):
        return [*overrides]
    dotted = [a for a in values if "." in a.partition("=")[0] and not is_group(a) and not is_swept(a)]
    single = {a: "{}=choice({})".format(*a.split("=", 1)) if a[-1] != "=" else f"{a}choice('')" for a in dotted}
    return [single.get(override, override) for override in overrides]


def expand(overrides: Sequence[str]) -> list[list[str]]:
    """List the values of every override of a sweep: ["a=1", "b=2,3"] -> [["a=1"], ["b=2", "b=3"]]. Raises UserError if
    they are too many jobs, or for an interval, which has no list of values.
    """
    if found := [each for each in overrides if isinstance(_value(each), IntervalSweep)]:
        raise UserError(f"{found[0]}: an interval is searched, which needs -m hydra/sweeper=optuna objective=...; a "
                        f"sweep needs values, such as {found[0].partition('=')[0]}=1,2")  # fmt: skip
    return extremes(overrides, jobs=LONGEST)


def _parsed(override: str) -> Override:
    try:
        return OverridesParser.create().parse_override(override)
    except HydraException as error:
        raise UserError(f"{override}: this can't be read as a key and its value, such as steps=100: close brackets, "
                        "braces and quotes, and quote it for the shell, as in 'levels=[3,7]'") from error  # fmt: skip


def extremes(overrides: Sequence[str], *, jobs: float = math.inf) -> list[list[str]]:
    """The same, with both ends of an interval. jobs: most that the values may be together; of one key, LONGEST."""
    parsed = [*map(_parsed, overrides)]
    counts = [*map(_count, parsed)]
    for override in parsed:
        for listed in _lists(override):
            if len({*map(str, listed)}) < len(listed):
                raise UserError(f"{override.input_line}: a value is listed twice; list each value once")
    for override, count in zip(parsed, counts, strict=True):
        if override.is_sweep_override() and count in (0, math.inf):
            why = "it has no values" if count == 0 else "its step is 0"
            raise UserError(f"{override.input_line}: {why}; give a range such as range(1,4), which is 1,2,3")
    if (found := math.prod(counts)) > jobs or max(counts, default=0) > LONGEST:
        swept = " ".join(str(o.input_line) for o in parsed if o.is_sweep_override())
        raise UserError(f"{swept}: {found} jobs; a sweep has at most {LONGEST}")
    return [[f"{o.get_key_element()}={value}" for value in values(o)] or [str(o.input_line)] for o in parsed]


def values(override: Override) -> list[str]:
    """The values of an override of a sweep, both ends of an interval, as they are written; none if it has one."""
    value = override.value()
    if isinstance(value, IntervalSweep):
        return [str(value.start), str(value.end)]
    return [*override.sweep_string_iterator()] if override.is_sweep_override() else []


def with_params(overrides: Sequence[str], of_files: Mapping[str, Any]) -> list[str]:
    """The overrides of a sweep, with those that hydra.sweeper.params holds in front, unless their keys are given.
    of_files: what it holds in configuration files.
    """
    params, others = {**of_files}, list[str]()
    for override in overrides:
        key, _, value = override.lstrip("+").partition("=")
        if key == "hydra.sweeper.params" and isinstance(found := _value(override), dict):
            params |= found
        elif key.startswith("hydra.sweeper.params."):
            text = re.fullmatch(r"(?P<quote>['\"])(?P<inside>.*)(?P=quote)", value)
            params[key.removeprefix("hydra.sweeper.params.")] = text["inside"] if text else value
        else:
            others.append(override)
    for key, value in params.items():
        if isinstance(value, dict):
            raise UserError(f"hydra.sweeper.params: {key} is {value}; give its values as text, such as {key}: '1,2'")
    given = {key_of(other) for other in others}
    texts = {key: _text(value) for key, value in params.items() if key not in given}
    return [*(f"{key}={text}" for key, text in texts.items()), *others]


def _text(value: Any) -> str:
    """A value of a file as it is written on the command line; a list is one value."""
    if isinstance(value, list):
        return f"[{','.join(map(_text, value))}]"
    return "null" if value is None else str(value)


def searches(overrides: Sequence[str]) -> bool:
    """Test whether a sweeper is chosen that searches."""
    return "hydra/sweeper=optuna" in overrides


def swept_keys(overrides: Sequence[str]) -> list[str]:
    """The keys that have several values."""
    return [key_of(override) for override in overrides if "=" in override and is_swept(override)]


def is_swept(override: str) -> bool:
    """Test whether an override gives several values, such as replicate=1,2."""
    return bool(_parsed(override).is_sweep_override())


def _value(override: str) -> Any:
    return _parsed(override).value() if "=" in override else None


def _lists(override: Override) -> list[list[Any]]:
    """The lists of an override in which nothing is there twice: the values of a sweep, and the options of a group."""
    value = override.value()
    swept = value.list if isinstance(value, ChoiceSweep) else [value]
    return [swept, *(each for each in swept if isinstance(each, list) and is_group(str(override.input_line)))]


def _count(override: Override) -> float:
    """Number of values of an override, without listing those of a range."""
    value = override.value()
    if isinstance(value, RangeSweep):
        start, stop, step = (float(each or 0) for each in (value.start, value.stop, value.step))
        return max(math.ceil((stop - start) / step), 0) if step else math.inf
    return len(value.list) if isinstance(value, ChoiceSweep) else 1
