"""Accuracy against what training cost: what a winning ticket saves, and what finding it cost."""

from collections.abc import Sequence
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lth.analysis.plot.style import NAMES, STYLE, finish, names

AXES = {
    "macs": "multiply-accumulates (of all weights)",
    "macs_remaining": "multiply-accumulates (of remaining weights)",
    "seconds": "wall seconds of training",
}
SPENT = {"alone": ("-", "o", "the ticket alone"), "found": ("--", "s", "with finding it")}


def cost(table: pd.DataFrame, title: str = "", by: Sequence[str] = ()) -> Figure:
    """Test accuracy at early stop against the cost of training each ticket alone, and against that of all trainings up
    to it: mean over replicates, bars from minimum to maximum, percent of weights at some points, dotted the dense net.
    Panels: multiply-accumulates of all and of remaining weights, or of results that have none, seconds; a row for each
    model. by: columns that tell the lines apart.
    """
    counted = [c for c in ("macs", "macs_remaining") if c in table and table[c].notna().all()] or ["seconds"]
    tickets = table[table["branch"] == "ticket"]
    models = list(tickets.groupby("model", sort=True))
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(max(10, 6.5 * len(counted)), 4.4 * len(models)), layout="constrained")
        rows = figure.subplots(len(models), len(counted), squeeze=False)
        for row, (model, part) in zip(rows, models, strict=True):
            for axes, column in zip(row, counted, strict=True):
                _panel(axes, part, column, by)
            row[0].set_ylabel("test accuracy at early stop (%)")
            row[0].set_title(NAMES.get(str(model), str(model)), fontsize=9)
            row[0].legend(fontsize=8)
        finish(figure, title, tickets)
    return figure


def _panel(axes: Axes, table: pd.DataFrame, column: str, by: Sequence[str]) -> None:
    lines = names(table, by)
    several = lines.nunique() > 1
    for index, line in enumerate(dict.fromkeys(lines)):
        _line(axes, spent(table[lines == line], column), f"{line}, " if several else "", f"C{index}")
    axes.set_xscale("log")
    axes.set_xlabel(AXES[column])


def spent(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """Of the tickets of one configuration: replicate, level, density, accuracy (percent), alone (the cost in `column`),
    found (the sum of all trainings that the ticket needs, its own among them: of one-shot pruning the dense one, of
    iterative pruning those of all levels before it).
    """
    rows = table.sort_values(["replicate", "level"])
    costs = rows[column].astype("float64")
    groups = costs.groupby(rows["replicate"])
    one_shot = "schedule" in rows and (rows["schedule"] == "one_shot").all()
    after_dense = (groups.transform("first") + costs).where(rows["level"] > 0, costs)
    return pd.DataFrame({
        "replicate": rows["replicate"], "level": rows["level"], "density": rows["density"],
        "accuracy": 100 * rows["early_stop_test_accuracy"], "alone": costs,
        "found": after_dense if one_shot else groups.cumsum(),
    })  # fmt: skip


def _line(axes: Axes, points: pd.DataFrame, name: str, color: str) -> None:
    levels = points.groupby("level")
    accuracy, bars = _with_bars(levels["accuracy"])
    for kind, (style, marker, label) in SPENT.items():
        middle, sides = _with_bars(levels[kind])
        axes.errorbar(
            middle, accuracy, xerr=sides, yerr=bars, linestyle=style, marker=marker, color=color, markersize=4,
            capsize=2, linewidth=1.3, elinewidth=0.7, label=f"{name}{label}",
        )  # fmt: skip
    axes.axhline(accuracy.iloc[0], color=color, linestyle=":", linewidth=0.8)  # that of the dense net
    for level, density in list(levels["density"].mean().items())[::3]:
        axes.annotate(
            f"{100 * density:.3g}%", (middle[level], accuracy[level]), (0, 7), textcoords="offset points",
            fontsize=7, ha="center", color=color,
        )  # fmt: skip


def _with_bars(groups: Any) -> tuple[pd.Series, list[pd.Series]]:
    values = groups.agg(["mean", "min", "max"])
    sides = [values["mean"] - values["min"], values["max"] - values["mean"]]
    return values["mean"], [side.clip(lower=0) for side in sides]  # a mean of equal values can round to beside them
