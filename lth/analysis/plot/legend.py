"""Legends that cover no data: beside the panel where there are many lines, their names wrapped."""

import textwrap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FEW = 4  # lines whose names fit into the panel
SHORT, WRAP = 28, 34  # characters of such a name, and of a line of a longer one
WIDE, HIGH = 2.9, 0.2  # inches that a legend beside a panel takes, and that each of its lines does


def legend(axes: "Axes", title: str = "", *, beside: "Axes | None" = None) -> None:
    """Add the legend of a panel: in it for few short names, else to the right of it, or of the panel `beside`, where
    the figure becomes wider for it, and higher if it has one row. None without names, nor with `beside` if the legend
    before has the same names, as in a row of panels above.
    """
    handles, names = axes.get_legend_handles_labels()
    figure: Any = axes.figure
    if not any(names) or (beside and names == getattr(figure, "_lth_names", None)):
        return
    figure._lth_names = names
    wrapped = [textwrap.fill(name, WRAP) for name in names]
    if len(names) <= FEW and max(map(len, names)) <= SHORT:
        axes.legend(handles, wrapped, title=title or None, fontsize=8, title_fontsize=8, handlelength=3)
        return
    place = beside or axes
    place.legend(
        handles, wrapped, title=title or None, fontsize=8, title_fontsize=8, loc="upper left",
        bbox_to_anchor=(1.01, 1.0), borderaxespad=0.0, handlelength=3,
    )  # fmt: skip
    _make_room(place, sum(name.count("\n") + 1 for name in wrapped))


def _make_room(axes: "Axes", lines: int) -> None:
    figure: Any = axes.figure
    if not getattr(figure, "_lth_wider", False):
        figure.set_figwidth(figure.get_figwidth() + WIDE)
        figure._lth_wider = True
    rows = axes.get_subplotspec().get_gridspec().nrows if axes.get_subplotspec() else 1  # type: ignore[union-attr]
    figure.set_figheight(max(figure.get_figheight(), rows * (HIGH * lines + 1.0)))
