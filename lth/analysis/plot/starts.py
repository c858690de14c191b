"""Nets of one mask that were trained from different starts: accuracy, ensemble, disagreement, barriers."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd

from lth.analysis.metric import accuracy
from lth.analysis.plot.labels import told_apart
from lth.analysis.plot.stamp import stamp
from lth.analysis.plot.style import finish, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Title of a panel -> its series: name -> column.
Panels = Mapping[str, Mapping[str, str]]
PANELS: Panels = {
    "test accuracy at the end (%)": {"each net": "final_test_accuracy", "ensemble": "ensemble"},
    "disagreement (% of the test set)": {
        "among themselves": "disagreement",
        "with the pruned net": "before_disagreement",
    },
    "error barrier (points)": {"among themselves": "barrier", "with the pruned net": "before_barrier"},
}


def starts(table: pd.DataFrame, title: str, start: pd.Series, shown_in: Panels = PANELS) -> "Figure":
    """A row for each start, named by `start` (missing: not drawn), in panels of shares in percent; a point for each net
    and its mean as a line.
    """
    named = {"final_test_accuracy": accuracy(table, "the figure of starts").final}
    table = table.assign(start=told_apart(table, start))
    shown = table.dropna(subset="start")
    names = list(dict.fromkeys(shown["start"]))
    with new_figure(13, 1.8 + 0.42 * len(names), 1, len(shown_in), sharey=True) as (figure, (panels,)):
        for axes, (heading, series) in zip(panels, shown_in.items(), strict=True):
            for at, (name, of) in enumerate(series.items()):
                column = named.get(of, of)
                values = shown[column] if column in shown else pd.Series(float("nan"), index=shown.index)
                _points(axes, 100 * values, shown["start"], names, name, at)
            axes.set_xlabel(heading)
            stamp(axes, table)
            axes.legend(fontsize=7)
        panels[0].set_yticks(range(len(names)), names)
        panels[0].set_ylim(len(names) - 0.5, -0.5)
        finish(figure, title, table.drop(columns="start"), spread="")
    return figure


def _points(axes: "Axes", values: pd.Series, start: pd.Series, names: list[str], name: str, at: int) -> None:
    places = start.map(names.index) + (-0.12, 0.12)[at]
    axes.plot(values, places, "od"[at], color=f"C{at}", markersize=3.5, alpha=0.6, linestyle="", label=name)
    means = values.groupby(places).mean()
    axes.plot(means, means.index, "|", color=f"C{at}", markersize=11, label="mean" if at == 0 else None)
