"""Legends that cover no data: beside the panel where there are many lines, their names wrapped."""

import textwrap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FEW = 3  # lines whose names fit into the panel
SHORT, WRAP = 24, 34  # characters of such a name, and of a line of a longer one


def legend(axes: "Axes", title: str = "", *, few: int = FEW) -> Any:
    """Add the legend of a panel: inside of it for few short names, else to the right of it; none for a single line
    without a name.
    """
    handles, names = axes.get_legend_handles_labels()
    if not any(names):
        return None
    wrapped = [textwrap.fill(name, WRAP) for name in names]
    inside = len(names) <= few and max(map(len, names)) <= SHORT
    place: Any = {} if inside else {"loc": "upper left", "bbox_to_anchor": (1.01, 1.0), "borderaxespad": 0.0}
    return axes.legend(handles, wrapped, title=title or None, fontsize=8, title_fontsize=8, **place)
