"""Instability of children of one W_k against k, and the errors on the line between two of them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from lth.analysis.plot.labels import model_name, percent
from lth.analysis.plot.legend import legend
from lth.analysis.plot.stamp import stamp
from lth.analysis.plot.style import MARKS, SPREAD, cycled, errorbar, finish, new_figure
from lth.analysis.variants import variants

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STABLE = 2.0  # points of error, below which a net is called stable (Frankle et al. 2020, Section 3)
K = "rewind.step"


def connectivity(table: pd.DataFrame, title: str, named: Mapping[str, str]) -> "Figure":
    """Left, the instability (error barrier on the test set, in points) against the step k where children part; right,
    the test error on the line between two of the smallest k. A row of panels for each model; a line for each branch in
    `named` (branch -> its name), density and configuration but for k. Bars and bands from minimum to maximum over
    replicates and pairs.
    """
    table = table.assign(**{K: table[K].fillna(0) if K in table else 0})
    models = list(table.groupby("model", sort=True))
    with new_figure(10, 4 * len(models), len(models), 2) as (figure, panels):
        for (model, part), (left, right) in zip(models, panels, strict=True):
            lines = _lines(part, named)
            for at, (name, rows) in enumerate(lines.items()):
                _instability(left, rows, name, at)
                _errors(right, rows[rows[K] == rows[K].min()], at)
            _dress(left, right, model_name(model), part)
        finish(figure, title, table, spread="bars and bands")
    return figure


def _lines(part: pd.DataFrame, named: Mapping[str, str]) -> dict[str, pd.DataFrame]:
    """Name -> rows of the pairs of a branch at a level, in a configuration; of a table that has none, no lines."""
    pairs = part.dropna(subset="barrier") if "barrier" in part else part.iloc[:0]
    others = variants(part.drop(columns=[K, "config"], errors="ignore")).reindex(pairs.index)
    groups = pairs[pairs["branch"].isin(named)].groupby(["branch", "level", others], sort=False)
    return {
        ", ".join(filter(None, [named[branch], percent(rows["density"].mean()), other])): rows
        for (branch, _, other), rows in groups
    }


def _instability(axes: "Axes", rows: pd.DataFrame, name: str, at: int) -> None:
    values = 100 * rows.groupby(K)["barrier"].agg(SPREAD)
    errorbar(axes, values.index, values, label=name, color=cycled(at), marker=MARKS[at % len(MARKS)])


def _errors(axes: "Axes", rows: pd.DataFrame, at: int) -> None:
    texts = rows["line_errors"].dropna() if "line_errors" in rows else pd.Series(dtype="str")
    errors = [100 * np.array(text.split(), dtype=float) for text in texts]
    for length in sorted({len(each) for each in errors}):
        same = np.array([each for each in errors if len(each) == length])
        alphas = np.linspace(0, 1, length)
        axes.plot(alphas, same.mean(0), color=cycled(at), linewidth=1.3)
        axes.fill_between(alphas, same.min(0), same.max(0), color=cycled(at), alpha=0.15, linewidth=0)


def _dress(left: "Axes", right: "Axes", name: str, part: pd.DataFrame) -> None:
    left.axhline(STABLE, color="gray", linestyle=":", linewidth=0.8, label=f"stable: below {STABLE:g} points")
    left.set_title(name, fontsize=9)
    steps = sorted(part[K].unique())
    left.set_xscale("symlog", linthresh=25)
    left.set_xlim(-5, max(25, 1.5 * steps[-1]))
    left.set_xticks(steps, [f"{int(step):,}" for step in steps])
    left.minorticks_off()
    left.set_xlabel("step k at which the children part")
    left.set_ylabel("instability (points)")
    right.set_title(f"children of step {int(part[K].min()):,}", fontsize=9)
    right.set_xlabel("interpolation alpha")
    right.set_ylabel("test error (%)")
    stamp(left, part)
    stamp(right, part)
    legend(left, beside=right)
