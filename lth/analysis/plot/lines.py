"""Any column of a table of tickets over any other, or over the steps of training."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from lth.analysis.plot.axis import percent_axis
from lth.analysis.plot.labels import label
from lth.analysis.plot.legend import legend
from lth.analysis.plot.stamp import stamp
from lth.analysis.plot.style import SPREAD, bars, errorbar, finish, look, new_figure
from lth.analysis.query import title

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDE, HIGH = 6.0, 4.2  # inches of a panel
THOUSANDS = 10_000  # from which 120k stands for 120000
LOGARITHMIC = 20.0  # times the smallest value that the largest is, from which an axis is logarithmic


def lines(
    panels: Sequence[tuple[str, pd.DataFrame, pd.DataFrame]],
    x: str,
    y: str,
    heading: str,
    notes: Sequence[str] = (),
) -> "Figure":
    """A panel for each (name, points of `lth.analysis.series`, rows that they are of), one below the other: means, bars
    from minimum to maximum, in the looks of `style.look`. Panels of accuracies share their axis, except over steps or
    of several data sets.
    """
    data = {name for _, _, rows in panels for name in rows["data"]}
    shared = {"sharex": x != "density", "sharey": x != "step" and y.endswith("accuracy") and len(data) == 1}
    with new_figure(WIDE, HIGH * len(panels), len(panels), 1, **shared) as (figure, grid):
        for (name, points, rows), (axes,) in zip(panels, grid, strict=True):
            _panel(axes, points, x)
            axes.set_title(name, fontsize=9)
            axes.set_ylabel(title(y))
            stamp(axes, rows)
            legend(axes)
        grid[-1, 0].set_xlabel(title(x))
        finish(figure, heading, pd.concat([rows for _, _, rows in panels]), notes,
               "bands" if x == "step" else "bars")  # fmt: skip
    return figure


def _panel(axes: "Axes", points: pd.DataFrame, x: str) -> None:
    pairs = dict.fromkeys(zip(points["line"], points["branch"], strict=True))
    names, places = ([*dict.fromkeys(points[column])] for column in ("line", "branch"))
    for line, branch in pairs:
        style = look(names.index(line) if len(names) > 1 else None, branch, places)
        part = points[(points["line"] == line) & (points["branch"] == branch)]
        if x != "step" and branch != "ticket" and part["level"].min() > 0:
            part = pd.concat([points[(points["line"] == line) & _is_dense(points)], part])
        _line(axes, part.sort_values(["level", "x"]), {"label": label(line, branch), **style}, across=x != "step")
    _axis(axes, points, x)


def _is_dense(points: pd.DataFrame) -> pd.Series:
    return (points["branch"] == "ticket") & (points["level"] == 0)


def _line(axes: "Axes", part: pd.DataFrame, style: dict[str, Any], *, across: bool) -> None:
    if not across:
        axes.plot(part["x"], part["mean"], linewidth=1.3, **{**style, "marker": ""})
        axes.fill_between(part["x"], part["min"], part["max"], color=style["color"], alpha=0.15, linewidth=0)
        return
    sideways = bars(part[["x", "x_min", "x_max"]].set_axis(SPREAD, axis=1))
    errorbar(axes, part["x"], part, xerr=sideways, elinewidth=0.8, **style)


def _axis(axes: "Axes", points: pd.DataFrame, x: str) -> None:
    from matplotlib.ticker import EngFormatter

    if x == "density":
        percent_axis(axes, points["x"])
        return
    if x == "step":
        axes.locator_params(axis="x", integer=True)
        _from_the_first_tenth(axes, points)
    elif points["x"].min() > 0 and points["x"].max() > LOGARITHMIC * points["x"].min():
        axes.set_xscale("log")
    if points["x"].max() >= THOUSANDS:
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))


def _from_the_first_tenth(axes: "Axes", points: pd.DataFrame) -> None:
    """Let the values after the first tenth of the steps fill the panel."""
    later = points[points["x"] >= points["x"].max() / 10]
    low, high = later["min"].min(), later["max"].max()
    if high > low:
        axes.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))
