"""The stamp on panels whose trainings are reduced: seen before the curves are, and behind them."""

import re
from typing import TYPE_CHECKING, Any

import pandas as pd

from lth.analysis.full import is_reduced
from lth.analysis.plot.labels import model_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOR = "#c1121f"
_STEPS = re.compile(r"(?:^|, )steps (\d+) instead of (\d+)")


def stamp(axes: "Axes", table: pd.DataFrame) -> None:
    """Stamp REDUCED on a panel if a row that is drawn in it is reduced, with the steps that there were and should have
    been.
    """
    if not (word := wording(table)):
        return
    ink: dict[str, Any] = {"transform": axes.transAxes, "color": COLOR, "ha": "center", "weight": "bold", "zorder": 0.6}
    frame = {"boxstyle": "round,pad=0.3", "facecolor": "none", "edgecolor": COLOR, "linewidth": 2.5, "alpha": 0.4}
    axes.text(0.5, 0.56, word, va="bottom", fontsize=24 if len(word) < 10 else 17, alpha=0.4, bbox=frame, **ink)
    axes.text(0.5, 0.5, "\n".join(steps(table)), va="top", fontsize=9, alpha=0.75, **ink)


def wording(table: pd.DataFrame) -> str:
    """REDUCED, PARTLY REDUCED, or nothing where all rows have full settings."""
    reduced = is_reduced(table)
    return "" if not reduced.any() else "REDUCED" if reduced.all() else "PARTLY REDUCED"


def steps(table: pd.DataFrame) -> list[str]:
    """A line for each reduced model, such as "Conv-2: 4,000 of 20,000 steps"; without its name if there is no other."""
    found: dict[str, dict[str, None]] = {}
    for model, text in table[["model", "reduced"]].dropna().drop_duplicates().itertuples(False, None):
        pairs = [f"{int(now):,} of {int(full):,}" for now, full in _STEPS.findall(text)]
        found.setdefault(model, {}).update(dict.fromkeys(pairs))
    alone = table["model"].nunique() == 1
    return [_line("" if alone else model_name(model), list(pairs)) for model, pairs in found.items()]


def _line(name: str, pairs: list[str]) -> str:
    return ": ".join(filter(None, [name, f"{' and '.join(pairs)} steps" if pairs else ""]))
