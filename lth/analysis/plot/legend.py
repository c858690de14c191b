"""Legends that cover no data: beside the panel where there are many lines, their names wrapped."""

import copy
import textwrap
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.legend import Legend

FEW = 4  # lines whose names fit into the panel
SHORT, WRAP = 28, 34  # characters of such a name, and of a line of a longer one
LOOK: Any = {"fontsize": 8, "title_fontsize": 8, "handlelength": 3}
WIDE, HIGH = 2.9, 0.2  # inches that a legend beside a panel takes, and that each of its lines does


def legend(axes: "Axes", title: str = "", *, beside: "Axes | None" = None) -> None:
    """Add the legend of a panel: in it for few short names (but see `uncover`), else to the right of it, or of the
    panel `beside`, where the figure becomes wider for it, and higher if it has one row. None without names, nor with
    `beside` if the legend before has the same names, as in a row of panels above.
    """
    handles, names = axes.get_legend_handles_labels()
    figure: Any = axes.figure
    if not any(names) or (beside and names == getattr(figure, "_lth_names", None)):
        return
    figure._lth_names = names
    wrapped = [textwrap.fill(name, WRAP) for name in names]
    given = {"handles": handles, "labels": wrapped, "title": title or None}
    if len(names) <= FEW and max(map(len, names)) <= SHORT:
        axes.legend(**given, **LOOK)
        figure._lth_inside = [*getattr(figure, "_lth_inside", []), (axes, beside or axes, given)]
    else:
        _put_beside(beside or axes, given)


@contextmanager
def any_script() -> Iterator[None]:
    """Give no warnings of names in a script that the font lacks, which are drawn as boxes."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")
        yield


def uncover(figure: "Figure") -> None:
    """Move the legends that cover data, in a figure that has all of its parts, to the right of their panels. A copy is
    drawn to see which do: to draw the figure itself twice would shift panels by less than a pixel.
    """
    inside: list[tuple[Axes, Axes, dict[str, Any]]] = getattr(figure, "_lth_inside", [])
    if not inside:
        return
    drawn: Any = copy.deepcopy(figure)
    with any_script():
        drawn.draw_without_rendering()
    for (axes, place, given), (seen, *_) in zip(inside, drawn._lth_inside, strict=True):
        if _covers(seen, seen.get_legend()):
            axes.get_legend().remove()  # type: ignore[union-attr]
            _put_beside(place, given)


def _covers(axes: "Axes", legend: "Legend") -> bool:
    """True if the legend in a panel lies over one of its lines or bars."""
    box, bars = legend.get_window_extent(), [c for c in axes.collections if hasattr(c, "get_segments")]
    drawn: list[tuple[Any, Any]] = [(each, each.get_path()) for each in axes.lines]
    drawn += [(each, path) for each in bars for path in each.get_paths()]
    return any(each.get_transform().transform_path(path).intersects_bbox(box, filled=False) for each, path in drawn)


def _put_beside(axes: "Axes", given: dict[str, Any]) -> None:
    axes.legend(**given, **LOOK, loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0.0)
    _make_room(axes, sum(name.count("\n") + 1 for name in given["labels"]))


def _make_room(axes: "Axes", lines: int) -> None:
    figure: Any = axes.figure
    if not getattr(figure, "_lth_wider", False):
        figure.set_figwidth(figure.get_figwidth() + WIDE)
        figure._lth_wider = True
    rows = axes.get_subplotspec().get_gridspec().nrows if axes.get_subplotspec() else 1  # type: ignore[union-attr]
    figure.set_figheight(max(figure.get_figheight(), rows * (HIGH * lines + 1.0)))
