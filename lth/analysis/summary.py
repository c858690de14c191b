"""Tables of tickets -> mean and spread, variants told apart, markdown."""

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from lth.analysis.text import aligned
from lth.store.table import KEYS, RESULTS


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Of one variant, per level, ticket beside the controls: mean and sample deviation over replicates and draws."""
    columns = {"early-stop step": ("early_stop_step", 1, 0), "accuracy %": ("early_stop_test_accuracy", 100, 2)}
    groups = table.groupby(["level", "branch"], sort=True)
    cells = {
        (branch, title): groups[name].apply(lambda v, s=scale, d=digits: mean_and_spread(v * s, d)).xs(branch, level=1)
        for branch in branches(table)
        for title, (name, scale, digits) in columns.items()
    }
    percent = (100 * table.groupby("level")["density"].mean()).map("{:.2f}".format)
    counts = groups.size().unstack().fillna(0).astype(int)
    frame = pd.DataFrame({("", "% of weights"): percent, **cells})
    for branch in branches(table):
        frame[(branch, "n")] = counts[branch]
    return frame.reindex(columns=[("", "% of weights"), *((b, c) for b in branches(table) for c in (*columns, "n"))])


def variants(table: pd.DataFrame) -> pd.Series:
    """For each row the part of its configuration that differs within the table, such as "rewind.step=100"; "" if none
    does. Rows of different variants are never averaged; where no column tells them apart, their digest does.
    """
    labels = _labelled(table.drop(columns="config", errors="ignore"))
    told_apart = "config" not in table or (table.groupby(labels)["config"].nunique() <= 1).all()
    return labels if told_apart else _labelled(table)


def _labelled(table: pd.DataFrame) -> pd.Series:
    # What is reduced stands in columns of its own, and it is too long for a name.
    known = table.drop(columns=[c for c in (*RESULTS, *KEYS, "reduced") if c in table]).astype(object)
    known = known.where(known.notna(), "-")
    varying = [column for column in known if known[column].nunique() > 1]
    labels = [", ".join(f"{c}={v}" for c, v in zip(varying, row, strict=True)) for row in
              known[varying].itertuples(index=False, name=None)]  # fmt: skip
    return pd.Series(labels if varying else "", index=table.index, dtype="str")


def branches(table: pd.DataFrame) -> list[str]:
    """The branches that a table has, the main line first."""
    return sorted(table["branch"].unique(), key=lambda branch: (branch != "ticket", branch))


def mean_and_spread(values: pd.Series, digits: int = 2) -> str:
    """As "98.31 ± 0.05"; of a single value no spread is known."""
    spread = f" ± {values.std():.{digits}f}" if len(values) > 1 else ""
    return f"{values.mean():.{digits}f}{spread}"


def spreads(
    groups: Iterable[tuple[Sequence[str], pd.DataFrame]],
    labels: Sequence[str],
    shown: Mapping[str, tuple[str, float, int]],
) -> str:
    """A line for each group (its labels, its rows): mean and sample deviation of some columns, and n. shown: title ->
    column, factor, digits.
    """
    lines = [[*labels, *shown, "n"]]
    for names, part in groups:
        cells = [mean_and_spread(scale * part[column], digits) for column, scale, digits in shown.values()]
        lines.append([*names, *cells, str(len(part))])
    return aligned(lines)


def markdown(table: pd.DataFrame) -> str:
    """The summary of every experiment of a table as text that is readable as it is and as markdown."""
    experiments = ((str(name), part) for name, part in table.groupby("experiment", sort=True))
    return "\n\n".join(
        _section(f"{name}: {variant}" if variant else name, rows)
        for name, part in experiments
        for variant, rows in part.groupby(variants(part), sort=False)
    )


def _section(name: str, table: pd.DataFrame) -> str:
    frame = summary(table).fillna("")
    header = ["level", *(f"{branch}: {title}" if branch else title for branch, title in frame.columns)]
    body = [[str(level), *map(str, values)] for level, *values in frame.itertuples(name=None)]
    return f"### {name}\n\n{aligned([header, *body])}"
