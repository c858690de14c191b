"""The stamp on panels whose trainings are reduced: seen before the curves are, and behind them. It comes before
`lth.analysis.plot.legend`, which makes way for it.
"""

import re
from typing import TYPE_CHECKING, Any

import pandas as pd

from lth.analysis.full import is_reduced
from lth.analysis.plot.labels import NAMES, model_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOR = "#c1121f"
STAMPED = "stamped"  # id of such a panel
_STEPS = re.compile(r"(?:^|, )(?:branch\.[\w.]+\.)?steps (\d+) instead of (\d+)")
_OTHER = re.compile(r"(?:^|, )(model|data) ([^ ,]+) instead of ((?:[^ ,]+ or )*[^ ,]+)")


def stamp(axes: "Axes", table: pd.DataFrame) -> None:
    """Stamp REDUCED on a panel if a row that is drawn in it is reduced, with the steps, nets and data that there were
    and should have been.
    """
    if not (word := wording(table)):
        return
    axes.set_gid(STAMPED)
    ink: dict[str, Any] = {"transform": axes.transAxes, "color": COLOR, "ha": "center", "weight": "bold", "zorder": 0.6}
    frame = {"boxstyle": "round,pad=0.3", "facecolor": "none", "edgecolor": COLOR, "linewidth": 2.5, "alpha": 0.4}
    axes.text(0.5, 0.56, word, va="bottom", fontsize=24 if len(word) < 10 else 17, alpha=0.4, bbox=frame, **ink)
    axes.text(0.5, 0.5, "\n".join(reasons(table)), va="top", fontsize=9, alpha=0.75, **ink)


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
    pairs = [f"{int(now):,} of {int(full):,}" for text in texts for now, full in _STEPS.findall(text)]
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
