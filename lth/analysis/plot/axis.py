"""The axis of percent of weights, as in Frankle & Carbin 2019."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TICKS = 7


def percent_axis(axes: "Axes", values: Iterable[float]) -> None:
    """Make the horizontal axis that of percent of weights: logarithmic, down from the largest of these."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    percents = sorted({*values}, reverse=True)
    axes.set_xscale("log")
    ticks, apart = [percents[0]], 1.01 * (percents[-1] / percents[0]) ** (1 / TICKS)
    for percent in percents[1:]:
        if percent < apart * ticks[-1]:
            ticks.append(percent)
    if ticks[-1] > percents[-1]:  # the last is always there, and none too near to it
        ticks = [tick for tick in ticks if percents[-1] < apart * tick] + [percents[-1]]
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    axes.set_xlim(percents[0] * 1.1, percents[-1] / 1.1)
    axes.set_xlabel("percent of weights remaining")
