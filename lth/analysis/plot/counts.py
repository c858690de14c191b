"""Numbers of replicates and draws of the lines of a figure, in words."""

import pandas as pd

from lth.analysis.branches import full_branch
from lth.analysis.plot.labels import branch_label, model_name
from lth.analysis.variants import variants

NAMED = 4  # levels that are named one by one
SPLITS: tuple[list[str], ...] = ([], ["model"], ["branch"], ["model", "branch"])


def counts(table: pd.DataFrame) -> str:
    """Replicates of a level, and draws of each if there are several, such as "n=3", "n=5 × 3" or "n=3 (LeNet-300-100),
    n=1 (Conv-2)"; where neither models nor branches tell them apart, levels, as in "n=3, below 2.9% n=1", else "n=1-3",
    of trainings. The dense net counts where it is alone in its configuration.
    """
    levels = _levels(table)
    every = [_spans(levels, keys) for keys in SPLITS]
    uniform = [spans for spans in every if not any("," in span or "-" in span for span in spans)]
    exact = [spans for spans in every if not any("-" in span for span in spans)]
    spans = [*uniform, *exact, every[SPLITS.index(["branch"])]][0]
    return ", ".join(f"{span} ({'; '.join(names)})" if len(spans) > 1 else span for span, names in spans.items())


def _levels(table: pd.DataFrame) -> pd.DataFrame:
    """A row for each level of each line: model, branch, level, percent, size (trainings) and n (`_number`)."""
    rows = table.assign(branch=full_branch(table).map(branch_label), variant=variants(table))
    rows["model"] = rows["model"].map(model_name)
    keys = ["model", "branch", "variant", "level"]
    groups = rows.groupby(keys, sort=False)
    found = groups["density"].agg(percent="mean", size="size").assign(n=groups["replicate"].agg(_number)).reset_index()
    found["percent"] = (100 * found["percent"]).round(6)  # means of equal densities may differ in the last bit
    deepest = found.groupby(["model", "branch", "variant"])["level"].transform("max")
    alone = (found["level"] == 0) & (deepest == 0)
    if not alone.all():
        found.loc[alone & (found["branch"] == branch_label("ticket")), "branch"] = "dense"
    return found[alone | (found["level"] > 0)]


def _number(replicates: pd.Series) -> str:
    """Number of trainings of these replicates: "3", or "3 × 5" of five draws each, "3 × 4 to 5" of as many."""
    draws = replicates.value_counts()
    if draws.max() == 1:
        return str(len(draws))
    return f"{len(draws)} × {draws.min()}" + (f" to {draws.max()}" if draws.nunique() > 1 else "")


def several(table: pd.DataFrame) -> bool:
    """True if a level of a line has several trainings."""
    return bool((_levels(table)["size"] > 1).any())


def _spans(levels: pd.DataFrame, keys: list[str]) -> dict[str, list[str]]:
    """Text on n -> names of the lines that it is of."""
    parts = levels.groupby(keys, sort=False) if keys else [((), levels)]
    found: dict[str, list[str]] = {}
    for names, part in parts:
        found.setdefault(_span(part), []).append(", ".join(names))
    return found


def _span(levels: pd.DataFrame) -> str:
    n = levels["n"]
    if n.nunique() == 1:
        return f"n={n.iloc[0]}"
    lines = levels.groupby("percent")["n"]
    by_level = lines.first().sort_index(ascending=False)
    usual = max(by_level.mode(), key=dict(zip(n, levels["size"], strict=True)).__getitem__)
    others = by_level[by_level != usual]
    if lines.nunique().max() == 1 and others.nunique() == 1:
        tail = by_level.iloc[-len(others) :]
        if tail.equals(others):
            return f"n={usual}, below {by_level.index[-len(others) - 1]:.3g}% n={others.iloc[0]}"
        if len(others) <= NAMED:
            return f"n={usual}, at {' and '.join(f'{percent:.3g}%' for percent in others.index)} n={others.iloc[0]}"
    return f"n={levels['size'].min()}-{levels['size'].max()}"
