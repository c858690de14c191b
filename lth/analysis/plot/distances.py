"""Distances of the masks of each two epochs of a training."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from lth import early_bird
from lth.analysis.plot.labels import NAMES, percent
from lth.analysis.plot.stamp import stamp
from lth.analysis.plot.style import finish, new_figure
from lth.analysis.summary import variants

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMN = "mask_distances"


def distances(table: pd.DataFrame, title: str) -> "Figure":
    """A row of panels for each model and configuration, a panel for each density: the distance of the masks of two
    epochs as a colour, the mean over replicates; lines at the mean epoch at which the ticket is drawn. Rows without the
    column `mask_distances` are left out.
    """
    shown = table.dropna(subset=COLUMN) if COLUMN in table else table.iloc[:0]
    lines = [
        (", ".join(filter(None, [NAMES.get(str(model), str(model)), variant])), part)
        for model, rows in shown.groupby("model", sort=True)
        for variant, part in rows.groupby(variants(rows), sort=True)
    ]
    columns = max((part["level"].nunique() for _, part in lines), default=1)
    with new_figure(4 * columns, 3.6 * max(len(lines), 1), max(len(lines), 1), columns) as (figure, panels):
        for axes in panels.flat:
            axes.set_visible(False)
        for (name, part), row in zip(lines, panels, strict=False):
            for (_, level), axes in zip(part.groupby("level"), row, strict=False):
                once = level.drop_duplicates("replicate")
                _panel(axes, once, f"{name}, {percent(level['density'].mean())} kept")
        finish(figure, title, table)
    return figure


def _panel(axes: "Axes", rows: pd.DataFrame, title: str) -> None:
    from matplotlib.ticker import MaxNLocator

    mean = np.mean([early_bird.matrix(text) for text in rows[COLUMN]], axis=0)
    axes.set_visible(True)
    count = len(mean)
    axes.grid(False)
    image = axes.imshow(mean, cmap="viridis_r", vmin=0, extent=(0.5, count + 0.5, count + 0.5, 0.5))
    axes.get_figure().colorbar(image, ax=axes, shrink=0.85)  # type: ignore[union-attr]
    found = [epoch for text in rows[COLUMN] if (epoch := early_bird.drawn_at(text)) is not None]
    if found:
        axes.axvline(float(np.mean(found)), color="red", linewidth=1, linestyle="--")
        axes.axhline(float(np.mean(found)), color="red", linewidth=1, linestyle="--")
    axes.set_title(title, fontsize=9)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(integer=True))
        axis.set_label_text("epoch")
    stamp(axes, rows)
