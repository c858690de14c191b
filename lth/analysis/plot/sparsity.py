"""Accuracy (or the metric of another task) and early-stop step against percent of weights remaining."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from lth.analysis import query
from lth.analysis.branches import branches, full_branch
from lth.analysis.metric import metric, metric_of_curves
from lth.analysis.plot.axis import percent_axis
from lth.analysis.plot.labels import UNTRAINED, branch_label, in_order, names, panel_title, shared_values, short_names
from lth.analysis.plot.legend import legend
from lth.analysis.plot.stamp import stamp
from lth.analysis.plot.style import SPREAD, errorbar, finish, look, new_figure
from lth.analysis.variants import some_fresh
from lth.analysis.winning import winning

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STEP = "early_stop_step"


def sparsity(
    table: pd.DataFrame,
    title: str = "",
    by: Sequence[str] = (),
    rows: str = "",
    columns: Sequence[str] = ("", STEP),
    above: float = 0,
    notes: Sequence[str] = (),
) -> "Figure":
    """(a) test accuracy at early stop and (b) early-stop step against percent of weights remaining, by branch.

    The axis is logarithmic and runs down from 100, as in the paper's Figures 4 and 5. by: columns that tell the lines
    apart, such as ["model"]; default: all that differ. rows: a column; each value of it has its own row of panels.
    columns: one for each panel; "" is the accuracy at early stop. above: a share from which the first column is shown
    once more, in a panel of its own. notes: what else the note under the figure says. Stale rows are left out.
    """
    table = some_fresh(table)
    columns = [*columns[:1], *columns[: bool(above)], *columns[1:]]
    parts = _parts(table, rows)
    with new_figure(max(5 * len(columns), 7), 4 * len(parts), len(parts), len(columns)) as (figure, panels):
        for (name, part), row in zip(parts, panels, strict=True):
            row[0].set_title(name, fontsize=9)
            for axes, column in zip(row, (column or metric(part).early for column in columns), strict=True):
                shown = part if column in part else part.assign(**{column: float("nan")})
                _lines(axes, shown, column, by, branches(table))
                axes.set_ylabel(query.title(column))
            for axes in (axes for axes, column in zip(row, columns, strict=True) if column == STEP):
                axes.set_ylim(bottom=0)
            if above and (most := part[columns[0] or metric(part).early].max()) > above:
                row[1].set_ylim(100 * above, 100 * (most + 0.05 * (most - above)))
                row[1].set_title(f"above {above:.0%}", fontsize=9)
            for axes in row:
                stamp(axes, part)
            legend(row[0], beside=row[-1])
        finish(figure, title, table, [*shared_values(table, by), *notes])
    return figure


def during(
    table: pd.DataFrame,
    evaluations: pd.DataFrame,
    shares: Sequence[float],
    title: str = "",
    by: Sequence[str] = (),
    rows: str = "",
) -> "Figure":
    """Test accuracy at some shares of the steps against percent of weights remaining (the paper's Figures 7 and 8, for
    nets whose validation loss has no minimum before the end). A panel is titled by the share at which its nets were
    evaluated last. by, rows: as in `sparsity`, without stale rows too.
    """
    table = some_fresh(table)
    found, parts = metric_of_curves(evaluations), _parts(table, rows)
    alone = f" {_moment(pd.Series([*shares]))}" if len(shares) == 1 else ""
    with new_figure(4 * len(shares), 4 * len(parts), len(parts), len(shares), sharey="row") as (figure, panels):
        for (name, part), row in zip(parts, panels, strict=True):
            for axes, share in zip(row, shares, strict=True):
                # In a column of results: any other column would tell configurations apart.
                at = evaluated(part, evaluations, share)
                _lines(axes, part.assign(**{found.final: at["value"]}), found.final, by, branches(table), judged=False)
                axes.set_title(", ".join(filter(None, [name, "" if alone else _moment(at["share"])])), fontsize=9)
                stamp(axes, part)
            row[0].set_ylabel(found.axis(alone.replace("at 100% of the steps", "at the end")))
            legend(row[0], beside=row[-1])
        finish(figure, title, table, shared_values(table, by))
    return figure


def _parts(table: pd.DataFrame, rows: str) -> list[tuple[str, pd.DataFrame]]:
    """The rows of each row of panels, behind its title: those of each value of the column, if there is one."""
    return [(panel_title(rows, value), part) for value, part in table.groupby(rows)] if rows else [("", table)]


def evaluated(table: pd.DataFrame, evaluations: pd.DataFrame, share: float) -> pd.DataFrame:
    """Test accuracy (or the metric of another task) of each row at the last evaluation within this share of its steps,
    rounded to whole steps (value), and the share after which it was measured; steps of a branch that trains longer are
    its own. NaN of one that starts later.
    """
    column, curves = metric_of_curves(evaluations).test, dict(iter(evaluations.groupby("digest")))

    def at(digest: str, steps: int) -> tuple[float, float]:
        curve = curves[digest]
        end = max(steps, curve["step"].max())
        before = curve[curve["step"] <= round(share * end)]
        return (math.nan, math.nan) if before.empty else (before["step"].iloc[-1] / end, float(before[column].iloc[-1]))

    found = [at(digest, steps) for digest, steps in zip(table["digest"], table["steps"], strict=True)]
    return pd.DataFrame(found, index=table.index, columns=["share", "value"])


def _moment(shares: pd.Series) -> str:
    """The title of a panel, such as "at 30% of the steps"."""
    low, high = (f"{share:.0%}" for share in (shares.min(), shares.max()))
    if low == high:
        return "before the first step" if shares.max() == 0 else f"at {low} of the steps"
    return f"at {low.removesuffix('%')} to {high} of the steps"


def _lines(
    axes: "Axes", table: pd.DataFrame, column: str, by: Sequence[str], every: Sequence[str], *, judged: bool = True
) -> None:
    """Draw a line for each branch of each name. every: branches of all panels, of the same color in each. judged: say
    in the legend down to where tickets win; not where several panels, in which they differ, share one.
    """
    line = names(table, by) if by else short_names(table)
    several = line.nunique() > 1
    places = [*dict.fromkeys([*every, *branches(table)])]  # settings name a branch only where it has several
    for index, name in enumerate(dict.fromkeys(line) if by else in_order(line)):
        rows = table[line == name]
        for branch in branches(rows):
            label = _label(rows, branch, column) if judged else branch_label(branch)
            if several:
                label = (str(name) or label) if branch == "ticket" else f"{name}, {label}"
            style = look(index if several else None, branch, places)
            _line(axes, _with_dense(rows, branch), column, label, **style)
    percent_axis(axes, 100 * table["density"])


def _label(rows: pd.DataFrame, branch: str, column: str) -> str:
    """The name of a branch; tickets are called winning where they win, and down to where."""
    found = metric(rows)
    accuracy = found.final if column == found.final else found.early
    lowest = winning(rows, accuracy) if branch == "ticket" else None
    return branch_label(branch) if lowest is None else f"winning ticket (down to {lowest:.3g}%)"


def _with_dense(rows: pd.DataFrame, branch: str) -> pd.DataFrame:
    """The rows of a branch; those of the dense net in front, if the branch has no level 0 of its own, is trained, and
    has several levels: of one alone, a line would suggest levels that were not trained.
    """
    own = full_branch(rows) == branch
    if branch.split(", ", 1)[0] in UNTRAINED or rows[own]["level"].nunique() == 1:
        return rows[own]
    begins = own & (rows["level"] == 0)
    return rows[own if begins.any() else own | ((rows["branch"] == "ticket") & (rows["level"] == 0))]


def _line(axes: "Axes", rows: pd.DataFrame, column: str, label: str, **style: Any) -> None:
    values = query.scale(column) * rows.groupby("level")[column].agg(SPREAD)
    errorbar(axes, 100 * rows.groupby("level")["density"].mean(), values, label=label, **style)
