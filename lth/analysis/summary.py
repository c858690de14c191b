"""Tables of tickets -> mean and spread per level."""

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from lth import UserError
from lth.analysis.branches import branches, full_branch, quantized
from lth.analysis.markdown import aligned
from lth.analysis.metric import metric
from lth.analysis.variants import MISSING, changes, variants

WIDEST = 13  # columns of a table of text, of four branches with three each; more branches stand below each other
LONGEST = 60  # lines of a long table on a terminal, which shows one of less than twice as many whole
CAPTION = "On the test set, at early stop{}; mean ± sample deviation over n replicates and draws."
QUANTIZED = (
    " Quantized nets begin at the end of the training of the net that they are made from; quantization-aware ones are "
    "then trained for further steps."
)

# Title -> column, factor, digits.
Shown = Mapping[str, tuple[str, float, int]]


def columns(table: pd.DataFrame, *, at_end: bool = False) -> Shown:
    """Columns of a summary: the early-stop step and the metric there, and at the end."""
    found = metric(table)
    at_end = at_end or quantized(table)
    stop = {"early-stop step": ("early_stop_step", 1, 0), found.title: (found.early, found.scale, found.digits)}
    return stop | ({f"{found.title} at the end": (found.final, found.scale, found.digits)} if at_end else {})


def summary(table: pd.DataFrame, *, at_end: bool = False) -> pd.DataFrame:
    """Mean and sample deviation over replicates and draws of one variant, as text: a row per level, columns (branch,
    title); empty where a branch has no such level. at_end: with the metric at the end of training, as always where nets
    are quantized, which begin there. Raises UserError for rows of several variants, and for stale ones beside others.
    """
    if changes(table).nunique() > 1:
        raise UserError("rows of code that changed since are not averaged with others: pass those without a value in "
                        "the column stale, or use lth.analysis.summary.markdown")  # fmt: skip
    if (names := variants(table)).nunique() > 1:
        raise UserError(f"rows of {', '.join(names.unique())} are not averaged: pass the rows of one configuration, or "
                        "use lth.analysis.summary.markdown, which makes a table for each")  # fmt: skip
    shown = columns(table, at_end=at_end)
    values = table[[column for column, _, _ in shown.values()]]
    cells: dict[tuple[str, str], dict[int, str | int]] = {}
    for (level, branch), part in values.groupby([table["level"], full_branch(table).rename("branch")], sort=True):
        texts: list[str | int] = [*_cells(part, shown), len(part)]
        for title, text in zip([*shown, "n"], texts, strict=True):
            cells.setdefault((branch, title), {})[level] = text
    frame = pd.DataFrame({("", "% of weights"): (100 * table.groupby("level")["density"].mean()).map("{:.2f}".format)})
    for branch in branches(table):
        for title in (*shown, "n"):
            column = pd.Series(cells[branch, title]).reindex(frame.index, fill_value=0 if title == "n" else "")
            frame[branch, title] = column
    return frame


def mean_and_spread(values: pd.Series, digits: int = 2) -> str:
    """Mean ± sample deviation, as in "98.31 ± 0.05"; the mean alone for n = 1."""
    return with_spread(values.mean(), values.std() if len(values) > 1 else None, digits)


def with_spread(mean: float, spread: float | None, digits: int = 2, *, sign: str = "") -> str:
    """A mean with its spread, or alone if there is none (None). sign: "+" to show that of a positive one."""
    return f"{mean:{sign}.{digits}f}" + ("" if spread is None else f" ± {spread:.{digits}f}")


def spreads(groups: Iterable[tuple[Sequence[str], pd.DataFrame]], labels: Sequence[str], shown: Shown) -> str:
    """A markdown table with a row for each group (its labels, its rows): mean and sample deviation of some columns,
    and n.
    """
    lines = [[*names, *_cells(part, shown), str(len(part))] for names, part in groups]
    return aligned([[*labels, *shown, "n"], *lines])


def _cells(part: pd.DataFrame, shown: Shown) -> list[str]:
    return [mean_and_spread(scale * part[column], digits) for column, scale, digits in shown.values()]


def clipped(text: str, rest: str) -> str:
    """The first LONGEST lines of a long text, and where the rest stands."""
    lines = text.splitlines()
    left = len(lines) - LONGEST
    return text if left < LONGEST else "\n".join([*lines[:LONGEST], f"... and {left} more lines: {rest}"])


def markdown(table: pd.DataFrame, *, at_end: bool = False) -> str:
    """The summary of every experiment and variant of a table, as markdown. at_end: see `summary`."""
    experiments = ((str(name), part) for name, part in table.groupby("experiment", sort=True))
    sections = [
        _section(": ".join(filter(None, [name, _given(str(variant))])), change, rows, at_end=at_end)
        for name, part in experiments
        for (variant, change), rows in part.groupby(
            [variants(part.drop(columns="stale", errors="ignore")), changes(part)], sort=False
        )
    ]
    rounded = quantized(table)
    caption = CAPTION.format(" and at the end" if at_end or rounded else "")
    return "\n\n".join([*sections, caption + QUANTIZED * rounded])


def _given(variant: str) -> str:
    """The name of a variant without the columns that its rows don't have."""
    return ", ".join(part for part in variant.split(", ") if not part.endswith(f"={MISSING}"))


def _section(name: str, change: str, table: pd.DataFrame, *, at_end: bool) -> str:
    frame = summary(table, at_end=at_end)
    name += f" (stale: {change})" if change else ""
    many = len(frame.columns) > WIDEST
    return f"### {name}\n\n{_below_each_other(frame) if many else _beside_each_other(frame)}"


def _beside_each_other(frame: pd.DataFrame) -> str:
    header = ["level", *(f"{branch}: {title}" if branch else title for branch, title in frame.columns)]
    body = [[str(level), *map(str, values)] for level, *values in frame.itertuples(name=None)]
    return aligned([header, *body])


def _below_each_other(frame: pd.DataFrame) -> str:
    """A line for each branch of each level that it has."""
    weights, *rest = frame.columns
    names, titles = ([*dict.fromkeys(part)] for part in zip(*rest, strict=True))
    lines = [
        [str(level), row[weights], name, *(str(row[name, title]) for title in titles)]
        for level, row in frame.iterrows()
        for name in names
        if row[name, "n"]
    ]
    return aligned([["level", weights[1], "branch", *titles], *lines], left=[2])
