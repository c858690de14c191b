"""Accuracy and size against bits a weight."""

from typing import TYPE_CHECKING

import pandas as pd

from lth.analysis.metric import metric
from lth.analysis.plot.labels import model_name, percent
from lth.analysis.plot.legend import legend
from lth.analysis.plot.stamp import stamp
from lth.analysis.plot.style import SPREAD, errorbar, finish, new_figure
from lth.analysis.variants import variants

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINES = {"post_training": ("post-training", "--", "s"), "aware": ("aware", "-", "o")}


def bits(table: pd.DataFrame, title: str = "") -> "Figure":
    """Above, test accuracy at the end against bits a weight, post-training beside quantization-aware; below, bytes. A
    column of panels for each model, a color for each level of each configuration; dotted: the same net in float32. Bars
    from minimum to maximum over replicates.
    """
    models = list(table.groupby("model", sort=True))
    with new_figure(max(10, 5.5 * len(models)), 7, 2, len(models), sharex="col") as (figure, panels):
        for (accuracy, size), (model, part) in zip(panels.T, models, strict=True):
            accuracy.set_title(model_name(model), fontsize=9)
            groups = part[_quantized(part)].groupby(["level", variants(part)])
            for color, ((_, other), rows) in enumerate(groups):
                name = ", ".join(filter(None, [percent(rows["density"].mean()), other]))
                _accuracy(accuracy, rows, name, f"C{color}")
                _size(size, rows, name, f"C{color}")
            size.set_yscale("log")
            size.set_xlabel("bits a weight")
            stamp(accuracy, part)
            stamp(size, part)
            legend(accuracy)  # colors below are the same
        panels[0, 0].set_ylabel(metric(table).axis(" at the end"))
        panels[1, 0].set_ylabel("bytes")
        finish(figure, title, table[table["branch"] == "ticket"])  # n is the same for every quantized net
    return figure


def _quantized(table: pd.DataFrame) -> pd.Series:
    """Mask of the rows whose level was quantized; all rows if none was."""
    quantized = table["level"].isin(table["level"][_bits(table).notna()])
    return quantized if quantized.any() else quantized | True


def _bits(table: pd.DataFrame) -> pd.Series:
    column = table["bits"] if "bits" in table else pd.Series(index=table.index, dtype="float64")
    return pd.to_numeric(column, errors="coerce")  # fp16 and bf16 are no number of bits on this axis


def _accuracy(axes: "Axes", rows: pd.DataFrame, name: str, color: str) -> None:
    plain, found = rows[rows["branch"] == "ticket"], metric(rows)
    axes.axhline(found.scale * plain[found.final].mean(), color=color, linestyle=":", label=f"{name}, float32")
    for branch, (label, line, marker) in LINES.items():
        part = rows[(rows["branch"] == branch) & _bits(rows).notna()]
        if part.empty:
            continue
        values = found.scale * part.groupby(_bits(part))[found.final].agg(SPREAD)
        style = {"color": color, "linestyle": line, "marker": marker, "linewidth": 1.5}
        errorbar(axes, values.index, values, label=f"{name}, {label}", **style)


def _size(axes: "Axes", rows: pd.DataFrame, name: str, color: str) -> None:
    part = rows[_bits(rows).notna()]
    if not part.empty:
        sizes = part.groupby(_bits(part))["bytes"].mean()
        axes.plot(sizes.index, sizes, color=color, marker="o", markersize=4, label=name)
