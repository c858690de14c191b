"""Full settings: what an experiment declares as those of its paper, and the trainings that had less.

An experiment's FULL is model -> column -> value, or branch -> value where branches differ, "ticket" for all others;
of levels only EVERY_LEVEL.
Whether a training is reduced follows from its row, whoever changed what by which override; `reduced` of a row, written
by scale=reduced, adds what the declaration does not know of.
"""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lth.store.record import OWN_STEPS

if TYPE_CHECKING:
    import pandas as pd

_ENTRY = re.compile(r", (?=[a-z][\w.]* )")  # between two entries, and not between two values of a list
_STEPS = re.compile(r"(?:^|, )(?:branch\.[\w.]+\.)?steps (\d+) instead of (\d+)")
Settings = Mapping[str, Mapping[str, Any]]
EVERY_LEVEL: Mapping[str, Any] = {"levels": None}  # level by level; a list of levels prunes several rounds at once

# Frankle & Carbin 2019, Figure 2.
_FRANKLE2019: Settings = {
    "lenet_300_100": {"data": "mnist", "steps": 50_000, "batch_size": 60},
    "conv_2": {"data": "cifar10", "steps": 20_000, "batch_size": 60},
    "conv_4": {"data": "cifar10", "steps": 25_000, "batch_size": 60},
    "conv_6": {"data": "cifar10", "steps": 30_000, "batch_size": 60},
    "resnet_20": {"data": "cifar10", "steps": 30_000, "batch_size": 128},
    "vgg_19": {"data": "cifar10", "steps": 112_480, "batch_size": 64},
}


def frankle2019(*models: str, longer: int = 1, **other: Any) -> dict[str, dict[str, Any]]:
    """The settings of these nets in Frankle & Carbin 2019, with `other` columns. longer: times their steps."""
    nets = {model: _FRANKLE2019[model] for model in models}
    return {model: {**net, "steps": longer * net["steps"], **other} for model, net in nets.items()}


def entries(reduced: str) -> dict[str, str]:
    """Setting -> what the column `reduced` says of it, such as "steps 400 instead of 30000"."""
    return {entry.partition(" ")[0]: entry for entry in _ENTRY.split(reduced)}


def is_reduced(table: "pd.DataFrame") -> "pd.Series[bool]":
    """Mask of the rows whose column `reduced` says what is less; all False without the column."""
    import pandas as pd

    return table["reduced"].notna() if "reduced" in table else pd.Series(False, index=table.index)


def steps(reduced: str) -> list[tuple[int, int]]:
    """The steps, and those in full, that the column `reduced` names, those of branches too."""
    return [(int(now), int(full)) for now, full in _STEPS.findall(reduced)]


def marked(table: "pd.DataFrame", full: Settings) -> "pd.DataFrame":
    """The table with a column `reduced` that says what is less than in the full settings, missing where nothing is."""
    if table.empty or not full:
        return table
    reduced = [_reduced(row, full) or None for row in table.to_dict("records")]
    return table.assign(reduced=reduced) if any(reduced) else table


def _reduced(row: Mapping[Any, Any], full: Settings) -> str:
    """Such as "steps 400 instead of 30000"; empty if nothing is less. Of a setting that the row tells of, too, the
    declared value is the paper's; but a number of levels says more than "all", and the own steps of a branch are named
    as such.
    """
    written = entries(row["reduced"]) if _is_there(row.get("reduced")) else {}
    declared = {
        key: f"{key} {now} instead of {said(value)}"
        for key, (now, value) in _less(row, full).items()
        if key not in written or not (value is None or (key == "steps" and _is_there(row.get(OWN_STEPS))))
    }
    return ", ".join({**declared, **{key: entry for key, entry in written.items() if key not in declared}}.values())


def _less(row: Mapping[Any, Any], full: Settings) -> dict[str, tuple[Any, Any]]:
    """Setting -> the row's value and the full one, where it is less."""
    if row["model"] not in full:
        return {"model": (row["model"], " or ".join(full))}
    row = _with_own_steps(row, full[row["model"]])
    declared = {key: _of_branch(value, row) for key, value in full[row["model"]].items()}
    return {key: (row.get(key), value) for key, value in declared.items() if _is_less(row, key, value)}


def _with_own_steps(row: Mapping[Any, Any], full: Mapping[str, Any]) -> Mapping[Any, Any]:
    """The row with a branch's own steps in the place of its line's, if those of branches are declared."""
    own: Any = row.get(OWN_STEPS)
    return {**row, "steps": int(own)} if isinstance(full.get("steps"), Mapping) and _is_there(own) else row


def _of_branch(value: Any, row: Mapping[Any, Any]) -> Any:
    return value.get(row.get("branch"), value["ticket"]) if isinstance(value, Mapping) else value


def _is_less(row: Mapping[Any, Any], key: str, value: Any) -> bool:
    """True if the row has another value, of a number a smaller one. After one-shot pruning each level is alone."""
    if key == "levels" and row.get("schedule") == "one_shot":
        return False
    now: Any = row.get(key)
    if value is None or not _is_there(now):
        return value is None and _is_there(now)
    return bool(now < value) if isinstance(value, int | float) else bool(now != value)


def _is_there(value: Any) -> bool:
    return value is not None and value == value  # NaN is no value


def said(value: Any) -> str:
    """A full setting in words: "all" of what may be missing, such as levels."""
    return "all" if value is None else f"{value}"
