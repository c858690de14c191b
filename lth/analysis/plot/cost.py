"""Accuracy against the cost of training: what a ticket saves, and what finding it costs."""

import textwrap
from collections.abc import Sequence
from math import inf
from typing import TYPE_CHECKING, Any

import pandas as pd

from lth.analysis.metric import metric
from lth.analysis.plot.labels import in_order, model_name, names, percent, short_names
from lth.analysis.plot.legend import legend
from lth.analysis.plot.stamp import stamp
from lth.analysis.plot.style import SPREAD, bars, errorbar, finish, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

AXES = {
    "macs": "multiply-accumulates (of all weights)",
    "macs_remaining": "multiply-accumulates (of remaining weights)",
    "seconds": "wall seconds of training",
}
MOST = 5  # lines of a panel, each of them twice
HIGH, WRAP = 0.3, 48  # inches of a row of which there are more, and characters in a line of its name
LINES = {"alone": ("-", "o", "the ticket alone"), "found": ("--", "s", "with finding it")}


def cost(table: pd.DataFrame, title: str = "", by: Sequence[str] = ()) -> "Figure":
    """Test accuracy at early stop against the cost of training each ticket alone, and against that of all trainings up
    to it: mean over replicates, bars from minimum to maximum, percent of weights at some points, dotted the dense net
    where it was trained. Panels: multiply-accumulates of all and of remaining weights, or seconds where these are
    unknown; a row for each model. by: columns that tell the lines apart. If a model has more than MOST of them, a row
    for each, of its most accurate level alone.
    """
    columns = [c for c in ("macs", "macs_remaining") if c in table and table[c].notna().all()] or ["seconds"]
    tickets = table[table["branch"] == "ticket"]
    models = list(tickets.groupby("model", sort=True))
    counts = [names(part, by).nunique() for _, part in models]
    many = max(counts) > MOST
    heights = [1 + HIGH * count if many else 4.4 for count in counts]
    size, ratios = (max(10, 6.5 * len(columns)), sum(heights)), {"height_ratios": heights}
    with new_figure(*size, len(models), len(columns), gridspec_kw=ratios) as (figure, rows):
        for row, (model, part) in zip(rows, models, strict=True):
            row[0].set_title(model_name(model), fontsize=9)
            for axes, column in zip(row, columns, strict=True):
                (_rows if many else _panel)(axes, part, column, by)
            if many:
                for axes in row[1:]:
                    axes.set_yticklabels([])
            else:
                row[0].set_ylabel(metric(part).axis(" at early stop"))
            legend(row[0], beside=row[-1])
        said = [f"each at its best level: {metric(tickets).words} at early stop, percent of weights"] * many
        finish(figure, title, tickets, said, spread="" if many else "bars")
    return figure


def costs(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """Cost of each ticket of one configuration: replicate, level, density, accuracy (percent; or another metric), alone
    (its `column`), found (sum over all trainings that the ticket needs, its own included: after one-shot pruning the
    dense net's if there is one, after iterative pruning those of all earlier levels).
    """
    rows, found = table.sort_values(["replicate", "level"]), metric(table)
    alone = rows[column].astype("float64")
    groups = alone.groupby(rows["replicate"])
    one_shot = "schedule" in rows and (rows["schedule"] == "one_shot").all()
    dense = alone.where(rows["level"] == 0, 0.0).groupby(rows["replicate"]).transform("sum")  # 0 if pruned untrained
    after_dense = (dense + alone).where(rows["level"] > 0, alone)
    return pd.DataFrame({
        "replicate": rows["replicate"], "level": rows["level"], "density": rows["density"],
        "accuracy": found.scale * rows[found.early], "alone": alone,
        "found": after_dense if one_shot else groups.cumsum(),
    })  # fmt: skip


def _panel(axes: "Axes", table: pd.DataFrame, column: str, by: Sequence[str]) -> None:
    lines = names(table, by)
    several = lines.nunique() > 1
    for index, line in enumerate(dict.fromkeys(lines)):
        _line(axes, costs(table[lines == line], column), f"{line}, " if several else "", f"C{index}")
    _dress(axes, table, column)


def _rows(axes: "Axes", table: pd.DataFrame, column: str, by: Sequence[str]) -> None:
    """A row for each line: from the mean cost of the ticket of its best level alone to that with finding it."""
    lines, found = short_names(table), metric(table)
    order = in_order(lines)
    for at, line in enumerate(order):
        means = costs(table[lines == line], column).groupby("level").mean()
        best = means.loc[means["accuracy"].idxmax() if found.is_accuracy else means["accuracy"].idxmin()]
        axes.plot([best["alone"], best["found"]], [at, at], color="C0", linewidth=1.3)
        for kind, (_, marker, label) in LINES.items():
            axes.plot(best[kind], at, marker, color="C0", label="" if at else label)
        value = f"{best['accuracy']:.{found.digits}f}{'%' * found.is_accuracy}"
        axes.annotate(
            f"{value}, {percent(best['density'])}", (best["found"], at), (7, 0), textcoords="offset points", fontsize=7,
            va="center",
        )  # fmt: skip
    axes.set_yticks(range(len(order)), [textwrap.fill(line, WRAP) for line in order], fontsize=7)
    axes.set_ylim(len(order) - 0.5, -0.5)
    axes.margins(x=0.2)
    _dress(axes, table, column)


def _dress(axes: "Axes", table: pd.DataFrame, column: str) -> None:
    from matplotlib.ticker import LogFormatterSciNotation, LogLocator

    axes.set_xscale("log", subs=())
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(LogFormatterSciNotation(labelOnlyBase=False, minor_thresholds=(inf, inf)))
    axes.set_xlabel(AXES[column])
    stamp(axes, table)


def _line(axes: "Axes", points: pd.DataFrame, name: str, color: str) -> None:
    levels: Any = points.groupby("level")
    accuracy = levels["accuracy"].agg(SPREAD)
    middle = accuracy["mean"]
    for kind, (style, marker, label) in LINES.items():
        spread = levels[kind].agg(SPREAD)
        errorbar(axes, spread["mean"], accuracy, xerr=bars(spread), linestyle=style, marker=marker, color=color,
                 elinewidth=0.7, label=f"{name}{label}")  # fmt: skip
    if 0 in middle.index:
        axes.axhline(middle[0], color=color, linestyle=":", linewidth=0.8)
    for level, density in list(levels["density"].mean().items())[::3]:
        axes.annotate(
            f"{100 * density:.3g}%", (spread["mean"][level], middle[level]), (5, 7), textcoords="offset points",
            fontsize=7, color=color, bbox={"facecolor": "white", "alpha": 0.7, "linewidth": 0, "pad": 0.5},
        )  # fmt: skip
