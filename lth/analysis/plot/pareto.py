"""Accuracy against size of files."""

import math
from typing import TYPE_CHECKING

import pandas as pd

from lth.analysis.plot.labels import model_name, percent
from lth.analysis.plot.stamp import reductions, stamp
from lth.analysis.plot.style import SPREAD, errorbar, new_figure, note, origin

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKERS = "osDv^P*Xhd"
# Ratio of the largest file to the smallest, at most -> multiples of powers of ten that the axis is labeled at.
TICKS = {5.0: range(1, 10), 50.0: (1, 2, 5), math.inf: (1,)}


def pareto(table: pd.DataFrame, title: str = "") -> "Figure":
    """Test accuracy through each file against its bytes, a panel for each model; a color for each level of each
    configuration, a marker for each format; bars from minimum to maximum over replicates; the line joins the files that
    no other beats at both.
    """
    table = table if "variant" in table else table.assign(variant="")
    models = list(table.groupby("model", sort=True))
    formats = list(dict.fromkeys(table["format"]))
    with new_figure(6 * len(models), 5.2, 1, len(models)) as (figure, ((*panels,),)):
        for axes, (model, part) in zip(panels, models, strict=True):
            _points(axes, part, formats)
            axes.set_title(model_name(model), fontsize=9)
            axes.set_xlabel("bytes of the file")
            _legend_of_levels(axes, part)
            stamp(axes, part)
        _legend_of_formats(figure, formats)
        panels[0].set_ylabel("test accuracy through the file (%)")
        figure.suptitle(title)
        n = table.groupby("model")["replicate"].nunique()
        counts = ", ".join(f"n={count} ({model_name(model)})" for model, count in n.items())
        note(figure, [counts, origin(table), *reductions(table)])
    return figure


def front(points: pd.DataFrame) -> pd.DataFrame:
    """The rows, by bytes, of which no other is both no larger and more accurate, or smaller and as accurate."""
    ordered = points.sort_values(["bytes", "accuracy"], ascending=[True, False])
    best_before = ordered["accuracy"].cummax().shift(fill_value=float("-inf"))
    return ordered[ordered["accuracy"] > best_before]


def _points(axes: "Axes", table: pd.DataFrame, formats: list[str]) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    keys = ["variant", "level", "format"]
    groups = table.assign(accuracy=100 * table["accuracy"]).groupby(keys, sort=False)
    points = groups.agg(
        bytes=("bytes", "mean"), density=("density", "mean"), accuracy=("accuracy", "mean"),
        low=("accuracy", "min"), high=("accuracy", "max"),
    ).reset_index()  # fmt: skip
    nets = sorted(set(zip(points["variant"], points["level"], strict=True)))
    edge = front(points)
    axes.plot(edge["bytes"], edge["accuracy"], color="gray", linewidth=1, zorder=1, label="Pareto front")
    for point in points.itertuples():
        spread = pd.DataFrame([[point.accuracy, point.low, point.high]], columns=SPREAD)
        color = f"C{nets.index((point.variant, point.level))}"
        errorbar(
            axes, point.bytes, spread, color=color, markersize=6, marker=_marker(formats, point.format), linestyle="",
            label=f"{percent(point.density)}, {point.format}",
        )  # fmt: skip
    axes.set_xscale("log")
    ratio = points["bytes"].max() / points["bytes"].min()
    axes.xaxis.set_major_locator(LogLocator(subs=next(ticks for most, ticks in TICKS.items() if ratio <= most)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _legend_of_levels(axes: "Axes", table: pd.DataFrame) -> None:
    from matplotlib.lines import Line2D

    densities = table.groupby(["variant", "level"])["density"].mean()
    names = [", ".join(filter(None, [percent(value), key[0]])) for key, value in densities.items()]
    colors = [Line2D([], [], color=f"C{i}", marker="s", linestyle="", label=name) for i, name in enumerate(names)]
    line = Line2D([], [], color="gray", linewidth=1, label="Pareto front")
    axes.legend(handles=[*colors, line], fontsize=8, title="% of weights", ncols=3, loc="upper center",
                bbox_to_anchor=(0.5, -0.14))  # fmt: skip


def _legend_of_formats(figure: "Figure", formats: list[str]) -> None:
    from matplotlib.lines import Line2D

    shapes = [Line2D([], [], color="gray", marker=_marker(formats, name), linestyle="", label=name) for name in formats]
    figure.legend(handles=shapes, fontsize=8, title="format", loc="outside right upper")


def _marker(formats: list[str], name: str) -> str:
    return MARKERS[formats.index(name) % len(MARKERS)]
