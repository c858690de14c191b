"""Reductions in a figure: the stamp above a panel, seen before the curves are, and the note below the figure."""

import re
import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd

from lth.analysis.full import entries, is_reduced, steps
from lth.analysis.plot.labels import NAMES, model_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOR = "#c1121f"
INSTEAD = " instead of "
WITH_STEPS = {"lr.at", "lr.steps", "lr.warmup"}  # settings that follow from the number of steps
WIDTH = 60  # characters of a line of a stamp that says it all; else each net has its own
LINE, GAP = 11, 10  # points that a line of a stamp takes, and what is left free below and above it
_OTHER = re.compile(r"(?:^|, )(model|data) ([^ ,]+) instead of ((?:[^ ,]+ or )*[^ ,]+)")


def stamp(axes: "Axes", table: pd.DataFrame) -> None:
    """Stamp REDUCED above a panel if a row that is drawn in it is reduced, with the steps, nets and data that there
    were and should have been. Call it after the title is set: the title is moved up.
    """
    if not (word := wording(table)):
        return
    lines = [": ".join(filter(None, [word, "; ".join(reasons(table))]))]
    if len(lines[0]) > WIDTH:
        lines = [part for line in [word, *reasons(table)] for part in textwrap.wrap(line, WIDTH)]
    box = {"boxstyle": "round,pad=0.3", "facecolor": COLOR, "edgecolor": "none"}
    axes.annotate(
        "\n".join(lines), (0.5, 1), (0, GAP / 2), xycoords="axes fraction", textcoords="offset points", ha="center",
        va="bottom", color="white", fontsize=8, weight="bold", bbox=box,
    )  # fmt: skip
    axes.set_title(axes.get_title(), fontsize=9, pad=LINE * len(lines) + GAP)


def wording(table: pd.DataFrame) -> str:
    """REDUCED, PARTLY REDUCED, or nothing where all rows have full settings."""
    reduced = is_reduced(table)
    return "" if not reduced.any() else "REDUCED" if reduced.all() else "PARTLY REDUCED"


def reasons(table: pd.DataFrame) -> list[str]:
    """Lines for each reduced model: "LeNet-300-100 instead of VGG-19", and such as "Conv-2: 4,000 of 20,000 steps",
    without its name if there is no other.
    """
    found: dict[str, list[str]] = {}
    for model, text in table[["model", "reduced"]].dropna().drop_duplicates().itertuples(False, None):
        found.setdefault(model, []).append(text)
    alone = table["model"].nunique() == 1
    lines = [line for model, texts in found.items() for line in _of_model("" if alone else model_name(model), texts)]
    return [*dict.fromkeys(filter(None, lines))]


def _of_model(name: str, texts: list[str]) -> list[str]:
    pairs = [f"{now:,} of {full:,}" for text in texts for now, full in steps(text)]
    if pairs and not all(map(steps, texts)):
        pairs.append("all")
    others = [
        f"{name}: {_instead(now, full)}" if name and what == "data" else _instead(now, full)
        for text in texts
        for what, now, full in _OTHER.findall(text)
    ]
    return [*others, *([_line(name, [*dict.fromkeys(pairs)])] if pairs or not others else [])]


def _instead(now: str, full: str) -> str:
    return f"{NAMES.get(now, now)} instead of {' or '.join(NAMES.get(key, key) for key in full.split(' or '))}"


def _line(name: str, pairs: list[str]) -> str:
    return ": ".join(filter(None, [name, f"{' and '.join(pairs)} steps" if pairs else ""]))


def reductions(table: pd.DataFrame) -> list[str]:
    """A text for each model and way in which the configuration is reduced from the paper's, without what fewer steps
    bring with them.
    """
    if "reduced" not in table:
        return []
    found = table[["model", "reduced"]].dropna().drop_duplicates().itertuples(False, None)
    texts = dict[str, list[dict[str, str]]]()
    for model, text in found:
        every = entries(text.replace("instead of None", "instead of all"))  # as 0.1 and early 0.2 wrote
        said = {key: what for key, what in every.items() if key not in WITH_STEPS or "steps" not in every}
        own = texts.setdefault(model_name(model), [])
        same = next((each for each in own if _are_one(each, said)), None)
        if same is None:
            own.append(said)
        else:
            same.update({key: what for key, what in said.items() if not what.endswith(f"{INSTEAD}all")})
    return [f"REDUCED ({model}): {', '.join(each.values())}" for model, own in texts.items() for each in own]


def _are_one(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """True if two reductions differ at most in that one says "all" where the other says how many these are."""
    if one.keys() != other.keys():
        return False
    pairs = [(one[key].split(INSTEAD), other[key].split(INSTEAD)) for key in one]
    return all(a[0] == b[0] and (a == b or "all" in (a[-1], b[-1])) for a, b in pairs)
