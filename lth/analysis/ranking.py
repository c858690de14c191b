"""Configurations and levels of an experiment, ranked by validation data; the test set is only reported."""

from dataclasses import dataclass

import pandas as pd

from lth import UserError
from lth.analysis.branches import full_branch
from lth.analysis.markdown import aligned
from lth.analysis.metric import metric
from lth.analysis.plot.labels import label, short_names
from lth.analysis.summary import mean_and_spread

COLUMNS = ("configuration", "level", "density", "by", "spread", "test", "test_spread", "n", "digests")


@dataclass(frozen=True)
class Rule:
    """A column of validation values. up: the highest is best."""

    column: str
    up: bool
    scale: float
    digits: int
    title: str


def rule(table: pd.DataFrame, by: str) -> Rule:
    """The rule that a word names: validation (the metric of the validation set at early stop) or loss. Raises
    UserError: a choice on the test set would no longer be measured by it, of a metric that is neither an accuracy nor
    an error it is not known whether high values are good, and values on several data sets are no ranking.
    """
    if len(names := table.get("data", pd.Series(dtype=str)).dropna().unique()) > 1:
        raise UserError(f"values on {', '.join(names)} can't be ranked together: add --where data={names[0]}")
    found = metric(table)
    if by in ("validation", f"validation_{found.name}"):
        if not found.is_accuracy and not found.name.endswith("error"):
            raise UserError(f"--by {by}: the metric {found.name} is neither an accuracy nor an error, so that it does "
                            "not say whether high or low values are best; choose --by loss")  # fmt: skip
        title = f"validation {found.title}"
        return Rule(f"early_stop_val_{found.name}", found.is_accuracy, found.scale, found.digits, title)
    if by in ("loss", "validation_loss"):
        return Rule("early_stop_val_loss", False, 1.0, 4, "validation loss")
    raise UserError(f"--by {by}: choose validation or loss; the test set is reported, but never used to choose")


def ranked(table: pd.DataFrame, by: Rule) -> pd.DataFrame:
    """One row per configuration, branch and level, the best first: means and deviations over replicates and draws of
    the validation value and of the test metric, n, and the digests of the trainings. What several configurations share,
    such as a dense net, is listed once, under the first.
    """
    found = metric(table)
    rows = table.assign(branch=full_branch(table), line=short_names(table))
    parts = rows.groupby(["line", "branch", "level"], sort=False)
    ranks = [
        (label(line, branch), level, part["density"].mean(), by.scale * part[by.column].mean(),
         by.scale * part[by.column].std(), found.scale * part[found.early].mean(),
         found.scale * part[found.early].std(), len(part), " ".join(part["digest"]))
        for (line, branch, level), part in parts
    ]  # fmt: skip
    table = pd.DataFrame(ranks, columns=list(COLUMNS)).sort_values("by", ascending=not by.up, kind="stable")
    return table.drop_duplicates("digests", ignore_index=True)


def markdown(table: pd.DataFrame, ranks: pd.DataFrame, by: Rule, top: int) -> str:
    """The best `top` as a table for readers."""
    found, values = metric(table), table.set_index("digest")
    head = ["", "configuration", "level", "% of weights", by.title, f"test {found.title}", "n", "first digest"]
    body = []
    for at, row in enumerate(ranks.head(top).itertuples(), start=1):
        part = values.loc[~values.index.duplicated()].loc[row.digests.split()]
        cells = [(by.column, by.scale, by.digits), (found.early, found.scale, found.digits)]
        texts = [mean_and_spread(scale * part[column], digits) for column, scale, digits in cells]
        body.append([str(at), row.configuration, str(row.level), f"{100 * row.density:.2f}", *texts, str(row.n),
                     row.digests.split()[0]])  # fmt: skip
    return aligned([head, *body], left=(1, 7))
