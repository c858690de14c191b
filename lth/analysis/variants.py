"""Configurations of rows: what tells apart rows that must not be averaged."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from lth import UserError
from lth.store.columns import configures

MISSING = "-"  # a row without a column of the configuration


def variants(table: pd.DataFrame) -> pd.Series:
    """Each row's values of the configuration columns that differ within the table, such as "rewind.step=100"; "" if
    none does. Rows of different variants are never averaged; `config`, a digest, tells apart what no column does.
    """
    return _labels(table, telling(table))


def telling(table: pd.DataFrame) -> list[str]:
    """The columns of `varying` but those that another decides, as model does model.hidden of a single MLP."""
    columns = varying(table)
    known = _known(table, columns)
    pairs = [(column, column.partition(".")[0]) for column in columns if "." in column]
    decided = {
        c for c, group in pairs if group in columns and (known.groupby(group, sort=False)[c].nunique() == 1).all()
    }
    return [column for column in columns if column not in decided]


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
    return table.drop(columns={*varying(table), "config"} - {*by, "data", "steps", "stale"}, errors="ignore")


def _varying(table: pd.DataFrame) -> list[str]:
    # `reduced` is too long for a name, and what it says stands in columns of its own. Rows of a branch whose code
    # changed since differ from the others in `stale` alone.
    known = _known(table, [c for c in table if c == "stale" or (configures(c) and c != "reduced")])
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
    labels = [
        ", ".join(f"{c}={v}" for c, v in zip(columns, row, strict=True) if (c, v) != ("stale", MISSING)) for row in rows
    ]
    return pd.Series(labels if columns else "", index=table.index, dtype="str")


def changes(table: pd.DataFrame) -> pd.Series:
    """The change of each row's code since, such as "mine.smallest changed in mine.py"; "" if it is not stale."""
    return table["stale"].fillna("") if "stale" in table else pd.Series("", index=table.index, dtype="str")


def only_fresh(table: pd.DataFrame) -> pd.DataFrame:
    """The rows that are not stale: their code has not changed since."""
    return table if "stale" not in table else table[table["stale"].isna()].drop(columns="stale")


def some_fresh(table: pd.DataFrame) -> pd.DataFrame:
    """The rows that are not stale; raises UserError if all are."""
    if (found := only_fresh(table)).empty and not table.empty:
        raise UserError("all of these rows are of code that changed since: run their experiment again")
    return found
