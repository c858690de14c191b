"""Time of training and inference against the share of the weights that is kept."""

from itertools import cycle
from typing import TYPE_CHECKING

import pandas as pd

from lth.analysis.plot.axis import percent_axis
from lth.analysis.plot.style import MARKS, new_figure, note, origin

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PANELS = {"training_ms": "CPU ms of a training step", "inference_ms": "CPU ms of 1,000 images"}


def times(table: pd.DataFrame) -> "Figure":
    """A panel for training and one for inference, a line for each method. table: see `lth.engine.densities`."""
    from matplotlib.ticker import LogLocator

    with new_figure(10, 4.4, 1, 2) as (figure, panels):
        for axes, (column, label) in zip(panels[0], PANELS.items(), strict=True):
            for marker, (method, rows) in zip(cycle(MARKS), table.groupby("method", sort=False), strict=False):
                axes.plot(100 * rows["kept"], rows[column], marker=marker, markersize=4, label=method)
            axes.set(yscale="log", ylabel=label)
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_major_formatter("{x:g}")
            percent_axis(axes, 100 * table["kept"])
        panels[0][0].legend(fontsize=8)
        figure.suptitle("LeNet-300-100: what a sparse net costs")
        note(figure, ["batch 60, Adam, one thread, medians of interleaved rounds", origin(table)])
    return figure
