"""Tables of tickets -> mean and spread per level; what tells rows apart that must not be averaged."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from lth import UserError
from lth.analysis.markdown import aligned
from lth.analysis.metric import metric
from lth.store.columns import configures

WIDEST = 13  # columns of a table of text, of four branches with three each; more branches stand below each other
LONGEST = 60  # lines of a long table on a terminal, which shows one of less than twice as many whole
CAPTION = "On the test set, at early stop{}; mean ± sample deviation over n replicates and draws."
QUANTIZED = " Quantized nets begin at the end of the training of the net that they are made from."
MISSING = "-"  # a row without a column of the configuration

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
    are quantized, which begin there. Raises UserError for rows of several variants.
    """
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


def quantized(table: pd.DataFrame) -> bool:
    """True if there are quantized nets among the rows."""
    return "bits" in table and bool(table["bits"].notna().any())


def full_branch(table: pd.DataFrame) -> pd.Series:
    """Each row's branch with its bits, such as "aware, 3 bits", and with its settings where a configuration has several
    of one branch, such as "edge_popup, scaled=True"; rows that differ in it are never averaged.
    """
    if "bits" not in table:
        return _with_settings(table, table["branch"])
    pairs = zip(table["branch"], table["bits"], strict=True)
    return _with_settings(table, pd.Series([_full_branch(*pair) for pair in pairs], index=table.index, dtype="str"))


def _with_settings(table: pd.DataFrame, names: pd.Series) -> pd.Series:
    if "branch_settings" not in table:
        return names
    settings = table["branch_settings"].fillna("")
    return names.where(~several_settings(table) | (settings == ""), names + ", " + settings)


def several_settings(table: pd.DataFrame) -> pd.Series:
    """True for the rows of a branch of which its configuration has several settings."""
    if "branch_settings" not in table:
        return pd.Series(False, table.index)
    keys = [table[key] for key in ("branch", "config") if key in table]
    return table["branch_settings"].fillna("").groupby(keys).transform("nunique") > 1


def _full_branch(branch: str, bits: Any) -> str:
    if pd.isna(bits):
        return branch
    text = bits if isinstance(bits, str) else f"{bits:g}"
    return f"{branch}, {text} bits" if text.isdigit() else f"{branch}, {text}"


def branches(table: pd.DataFrame) -> list[str]:
    """The distinct values of `full_branch`, the main line first."""
    return sorted(full_branch(table).unique(), key=lambda branch: (branch != "ticket", branch))


def variants(table: pd.DataFrame) -> pd.Series:
    """Each row's values of the configuration columns that differ within the table, such as "rewind.step=100"; "" if
    none does. Rows of different variants are never averaged; `config`, a digest, tells apart what no column does.
    """
    return _labels(table, varying(table))


def varying(table: pd.DataFrame) -> list[str]:
    """The configuration columns that differ within the table; `config` among them only if no other tells apart what it
    does.
    """
    columns = _varying(table.drop(columns="config", errors="ignore"))
    told_apart = "config" not in table or (table.groupby(_labels(table, columns))["config"].nunique() <= 1).all()
    return columns if told_apart else _varying(table)


def merged(table: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """The table without the columns of the configuration that differ, but for `by`, data and steps: its rows are one
    line for each of these in a figure. For configurations that were made to be the points of a line.
    """
    return table.drop(columns={*varying(table), "config"} - {*by, "data", "steps"}, errors="ignore")


def _varying(table: pd.DataFrame) -> list[str]:
    # `reduced` is too long for a name, and what it says stands in columns of its own.
    known = _known(table, [c for c in table if configures(c) and c != "reduced"])
    return [str(column) for column in known if known[column].nunique() > 1]


def _known(table: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    known = table[[*columns]].astype(object)
    known = known.where(known.notna(), MISSING)
    floats = [column for column in columns if table[column].dtype.kind == "f"]  # whole numbers that had a hole
    return known.assign(**{column: known[column].map(_whole) for column in floats})


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _labels(table: pd.DataFrame, columns: Sequence[str]) -> pd.Series:
    rows = _known(table, columns).itertuples(index=False, name=None)
    labels = [", ".join(f"{c}={v}" for c, v in zip(columns, row, strict=True)) for row in rows]
    return pd.Series(labels if columns else "", index=table.index, dtype="str")


def only_fresh(table: pd.DataFrame) -> pd.DataFrame:
    """The rows that are not stale: their code has not changed since."""
    return table if "stale" not in table else table[table["stale"].isna()].drop(columns="stale")


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
        _section(": ".join(filter(None, [name, _given(str(variant))])), rows, at_end=at_end)
        for name, part in experiments
        for variant, rows in part.groupby(variants(part), sort=False)
    ]
    rounded = quantized(table)
    caption = CAPTION.format(" and at the end" if at_end or rounded else "")
    return "\n\n".join([*sections, caption + QUANTIZED * rounded])


def _given(variant: str) -> str:
    """The name of a variant without the columns that its rows don't have."""
    return ", ".join(part for part in variant.split(", ") if not part.endswith(f"={MISSING}"))


def _section(name: str, table: pd.DataFrame, *, at_end: bool) -> str:
    frame = summary(table, at_end=at_end)
    changes = sorted(table["stale"].dropna().unique()) if "stale" in table else []
    name += f" (stale: {'; '.join(changes)})" if changes else ""
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
