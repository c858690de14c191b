"""Accuracy lost against weights pruned away."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from lth.analysis.metric import accuracy
from lth.analysis.plot.labels import names, panel_title
from lth.analysis.plot.legend import legend
from lth.analysis.plot.stamp import stamp
from lth.analysis.plot.style import MARKS, SPREAD, errorbar, finish, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def loss(table: pd.DataFrame, title: str = "", by: Sequence[str] = (), panels: str = "model") -> "Figure":
    """Test accuracy of W_T minus that of the same replicate's dense net, in points, against the percent of weights
    pruned away (Han et al. 2015, Figure 5). by: columns that tell the lines apart; panels: a column, a panel a value.
    """
    found = accuracy(table, "the figure of accuracy lost")
    parts = list(table.groupby(panels, sort=True))
    with new_figure(max(6 * len(parts), 10), 4.2, 1, len(parts)) as (figure, ((*row,),)):
        for axes, (name, part) in zip(row, parts, strict=True):
            _lines(axes, part, by, found.final)
            axes.axhline(0, color="gray", linewidth=0.8)
            axes.set_ylim(-4.5, 0.5)
            axes.set_title(panel_title(panels, name) if len(parts) > 1 else "", fontsize=9)
            axes.set_xlabel("percent of weights pruned away")
            stamp(axes, part)
        row[0].set_ylabel(f"test {found.words} at the end minus dense (points)")
        legend(row[0], beside=row[-1])
        finish(figure, title, table)
    return figure


def lost(table: pd.DataFrame, column: str = "final_test_accuracy") -> pd.DataFrame:
    """Rows of one configuration: level, pruned (percent), lost (points of the column above the dense net of the same
    replicate).
    """
    tickets = table[table["branch"] == "ticket"]
    dense = tickets[tickets["level"] == 0].set_index("replicate")[column]
    rows = tickets[(tickets["level"] > 0) & tickets["replicate"].isin(dense.index)]
    return pd.DataFrame({
        "level": rows["level"],
        "pruned": 100 * (1 - rows["density"]),
        "lost": 100 * (rows[column] - rows["replicate"].map(dense)),
    })  # fmt: skip


def _lines(axes: "Axes", table: pd.DataFrame, by: Sequence[str], column: str) -> None:
    lines = names(table, by)
    for index, line in enumerate(dict.fromkeys(lines)):
        points = lost(table[lines == line], column).groupby("level")[["pruned", "lost"]].agg(SPREAD)
        style = {"label": line, "color": f"C{index}", "marker": MARKS[index % len(MARKS)]}
        errorbar(axes, points["pruned", "mean"], points["lost"], **style)
