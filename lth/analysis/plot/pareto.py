"""Accuracy against size."""

import textwrap

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullFormatter

from lth.analysis.plot.style import NAMES, STYLE, reductions

FORMATS = "osDv^P*Xhd"


def pareto(table: pd.DataFrame, title: str = "") -> Figure:
    """Test accuracy through each file against its bytes, a panel for each model; a colour for each level, a marker for
    each format; bars from minimum to maximum over replicates; the line joins the files that no other beats at both.
    """
    models = list(table.groupby("model", sort=True))
    formats = list(dict.fromkeys(table["format"]))
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(6 * len(models), 4.6), layout="constrained")
        for axes, (model, part) in zip(figure.subplots(1, len(models), squeeze=False)[0], models, strict=True):
            _points(axes, part, formats)
            axes.set_title(NAMES.get(str(model), str(model)), fontsize=9)
            axes.set_xlabel("bytes of the file")
            _nets(axes, part)
        shapes = [
            Line2D([], [], color="gray", marker=_marker(formats, name), linestyle="", label=name) for name in formats
        ]
        figure.axes[-1].legend(handles=shapes, fontsize=8, title="format", loc="upper left", bbox_to_anchor=(1.01, 1))
        figure.axes[0].set_ylabel("test accuracy through the file (%)")
        figure.suptitle(title)
        n = table.groupby("model")["replicate"].nunique()
        origin = (
            f"{' / '.join(sorted(table['machine'].unique()))}; commit {', '.join(sorted(table['commit'].unique()))}"
        )
        counts = ", ".join(f"n={count} {NAMES.get(str(model), str(model))}" for model, count in n.items())
        foot = textwrap.fill("; ".join([counts, origin, *reductions(table)]), 170)
        figure.supxlabel(foot, fontsize=7, color="gray")
    return figure


def front(points: pd.DataFrame) -> pd.DataFrame:
    """The rows, by bytes, of which no other is both no larger and more accurate, or smaller and as accurate."""
    ordered = points.sort_values(["bytes", "accuracy"], ascending=[True, False])
    best_before = ordered["accuracy"].cummax().shift(fill_value=float("-inf"))
    return ordered[ordered["accuracy"] > best_before]


def _points(axes: Axes, table: pd.DataFrame, formats: list[str]) -> None:
    groups = table.assign(accuracy=100 * table["accuracy"]).groupby(["level", "format"], sort=False)
    points = groups.agg(
        bytes=("bytes", "mean"), density=("density", "mean"), accuracy=("accuracy", "mean"),
        low=("accuracy", "min"), high=("accuracy", "max"),
    ).reset_index()  # fmt: skip
    levels = sorted(points["level"].unique())
    edge = front(points)
    axes.plot(edge["bytes"], edge["accuracy"], color="gray", linewidth=1, zorder=1, label="Pareto front")
    for point in points.itertuples():
        name = "dense" if point.level == 0 else f"{100 * point.density:.1f}%"
        bar = [[max(point.accuracy - point.low, 0)], [max(point.high - point.accuracy, 0)]]
        axes.errorbar(
            point.bytes, point.accuracy, yerr=bar, color=f"C{levels.index(point.level)}", markersize=6, capsize=2,
            marker=_marker(formats, point.format), linestyle="", label=f"{name}, {point.format}",
        )  # fmt: skip
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _nets(axes: Axes, table: pd.DataFrame) -> None:
    """A legend of its colours, in each panel; that of the markers is beside the last."""
    densities = table.groupby("level")["density"].mean()
    names = ["dense" if level == 0 else f"{100 * density:.1f}%" for level, density in densities.items()]
    shown = [Line2D([], [], color=f"C{i}", marker="s", linestyle="", label=name) for i, name in enumerate(names)]
    line = Line2D([], [], color="gray", linewidth=1, label="Pareto front")
    panel = axes.legend(handles=[*shown, line], fontsize=8, title="% of weights")
    axes.add_artist(panel)


def _marker(formats: list[str], name: str) -> str:
    return FORMATS[formats.index(name) % len(FORMATS)]
