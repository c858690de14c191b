"""Learning curves."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from lth.analysis.metric import Metric, metric_of_curves
from lth.analysis.plot.labels import branch_label, names
from lth.analysis.plot.legend import legend
from lth.analysis.plot.stamp import stamp
from lth.analysis.plot.style import SPREAD, TOLD_APART, finish, new_figure
from lth.analysis.query import evenly

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


DRAWN = ("ticket", "reinitialize")
FEWEST = 2  # steps at which the first third was evaluated, if it has a panel of its own


def curves(
    evaluations: pd.DataFrame,
    table: pd.DataFrame,
    levels: Sequence[int] | None = None,
    title: str = "",
    by: Sequence[str] = (),
    *,
    losses: bool = False,
) -> "Figure":
    """Test accuracy against step for some levels (default: five spread over all), tickets solid, random
    reinitialization dashed (the paper's Figure 3); the note names the branches that are not drawn. by: columns whose
    values are drawn as lines of their own. losses: with a panel of the validation loss, at whose minimum early stop is
    (its Appendix C).
    """
    found = metric_of_curves(evaluations)
    every = sorted(evaluations["level"].unique())
    selected = list(levels) if levels is not None else evenly(every)
    some = [f"levels {', '.join(map(str, selected))} of {len(every)}"] if len(selected) < len(every) else []
    others = [branch_label(branch) for branch in sorted({*table["branch"]} - {*DRAWN})]
    some += [f"not drawn: {', '.join(others)}"] if others else []
    named = pd.DataFrame(
        {"digest": table["digest"], "line": names(table, by)}
    ).drop_duplicates()  # lines share dense nets
    shown = evaluations.merge(named, on="digest")
    shown = shown[shown["level"].isin(selected) & shown["branch"].isin(DRAWN)]
    zoomed = _early(shown)["step"].nunique() >= FEWEST
    drawn = [(found.axis(), found.scale * shown[found.test])] * (1 + zoomed)
    if losses:
        drawn.append((f"validation loss{' (nats)' if found.name == 'accuracy' else ''}", shown["validation_loss"]))
    with new_figure(max(5 * len(drawn), 5.5), 4, 1, len(drawn)) as (figure, panels):
        for axes, (label, values) in zip(panels[0], drawn, strict=True):
            _curves(axes, shown, values)
            axes.set_ylabel(label)
        if zoomed:
            _zoom(panels[0, 1], shown, found)
        for axes in panels[0]:
            stamp(axes, table)
        legend(panels[0, 0], ", ".join(["% of weights", *by]), beside=panels[0, -1])
        rows = table[table["branch"].isin(DRAWN)]
        finish(figure, title, table if rows.empty else rows, some, spread="bands")
    return figure


def _curves(axes: "Axes", evaluations: pd.DataFrame, values: pd.Series) -> None:
    from matplotlib import colormaps

    shown = evaluations.assign(shown=values)
    drawn = [*dict.fromkeys(shown.sort_values(["level", "line"])[["level", "line"]].itertuples(False, None))]
    apart = shown["line"].nunique() > 1 and len(drawn) <= TOLD_APART
    for (level, branch, line), part in shown.groupby(["level", "branch", "line"], sort=True):
        at = drawn.index((level, line))
        color = f"C{at}" if apart else colormaps["viridis"](0.9 * at / max(len(drawn) - 1, 1))
        _curve(axes, part, str(branch), str(line), color)
    axes.set_xlabel("step")
    axes.locator_params(axis="x", integer=True)


def _curve(axes: "Axes", part: pd.DataFrame, branch: str, line: str, color: "str | tuple[float, ...]") -> None:
    name = f"{100 * part['density'].mean():.1f}" + (" reinit" if branch == "reinitialize" else "")
    name += f", {line}" if line else ""
    later = part[part["step"] > 0]
    part = later if later["step"].nunique() > 1 else part  # a line needs two points
    values = part.groupby("step")["shown"].agg(SPREAD)
    axes.plot(values.index, values["mean"], "-" if branch == "ticket" else "--", color=color, label=name, linewidth=1)
    axes.fill_between(values.index, values["min"], values["max"], color=color, alpha=0.15, linewidth=0)


def _early(evaluations: pd.DataFrame) -> pd.DataFrame:
    """The evaluations in the first third of the steps (not its start), where tickets differ in how fast they learn."""
    end = evaluations["step"].max() / 3
    return evaluations[evaluations["step"].between(end / 10, end)]


def _zoom(axes: "Axes", evaluations: pd.DataFrame, found: Metric) -> None:
    """Show the first third of the steps."""
    early = found.scale * _early(evaluations)[found.test]
    axes.set_xlim(0, evaluations["step"].max() / 3)
    axes.set_title("the first third", fontsize=9)
    if early.nunique() > 1:
        low, high = early.quantile(0.02), early.max()
        axes.set_ylim(low, high + 0.05 * (high - low))
