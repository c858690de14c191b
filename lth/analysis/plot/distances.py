"""Distances of the masks of each two epochs of a training."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from lth import early_bird
from lth.analysis.plot.labels import model_name, percent
from lth.analysis.plot.stamp import reasons, wording
from lth.analysis.plot.style import finish, new_figure
from lth.analysis.variants import variants

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMN = "mask_distances"


def distances(table: pd.DataFrame, title: str) -> "Figure":
    """A row of panels for each model and configuration, a panel for each density: the distance of the masks of two
    epochs as a color, the mean over replicates; lines at the mean epoch at which the ticket is drawn, if it is. Rows
    without the column `mask_distances` are left out.
    """
    shown = table.dropna(subset=COLUMN) if COLUMN in table else table.iloc[:0]
    lines = [
        (", ".join(filter(None, [model_name(model), variant])), part)
        for model, rows in shown.groupby("model", sort=True)
        for variant, part in rows.groupby(variants(rows), sort=True)
    ]
    panels_of = [[one.drop_duplicates("replicate") for _, one in part.groupby("level")] for _, part in lines]
    farthest = max((_mean(one).max() for row in panels_of for one in row), default=0.0)
    columns = max((part["level"].nunique() for _, part in lines), default=1)
    with new_figure(4 * columns, 3.6 * max(len(lines), 1), max(len(lines), 1), columns) as (figure, panels):
        for axes in panels.flat:
            axes.set_visible(False)
        for (name, _), parts, row in zip(lines, panels_of, panels, strict=False):
            for once, axes in zip(parts, row, strict=False):
                _panel(axes, once, f"{name}, {percent(once['density'].mean())} kept", farthest)
        finish(figure, title, table, spread="")
    return figure


def _mean(rows: pd.DataFrame) -> np.ndarray:
    return np.asarray(np.mean([early_bird.matrix(text) for text in rows[COLUMN]], axis=0))


def _panel(axes: "Axes", rows: pd.DataFrame, title: str, farthest: float) -> None:
    from matplotlib.ticker import MaxNLocator

    mean = _mean(rows)
    axes.set_visible(True)
    count = len(mean)
    axes.grid(False)
    extent = (0.5, count + 0.5, count + 0.5, 0.5)
    image = axes.imshow(mean, cmap="viridis_r", vmin=0, vmax=farthest, extent=extent)
    bar = axes.get_figure().colorbar(image, ax=axes, shrink=0.85)  # type: ignore[union-attr]
    bar.set_label("share in which two masks differ", fontsize=8)
    settings = rows["branch_settings"] if "branch_settings" in rows else [""] * len(rows)
    drawn = [early_bird.drawn_at(*pair) for pair in zip(rows[COLUMN], settings, strict=True)]
    found = [epoch for epoch in drawn if epoch is not None]
    if found:
        axes.axvline(float(np.mean(found)), color="red", linewidth=1, linestyle="--")
        axes.axhline(float(np.mean(found)), color="red", linewidth=1, linestyle="--")
    mean_of = f" ({len(found)} of {len(drawn)})" * (len(found) < len(drawn))
    when = f"drawn at epoch {np.mean(found):.3g}{mean_of}" if found else "not settled, the last mask is taken"
    # A stamp on the panel would change its colors.
    less = [word, *reasons(rows)] if (word := wording(rows)) else []
    axes.set_title("\n".join([title, when, *less]), fontsize=9)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(integer=True))
        axis.set_label_text("epoch")
