"""Rows of a table of tickets by key=value, and its columns by the words of the command line."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from lth import UserError
from lth.analysis.metric import metric
from lth.analysis.variants import MISSING
from lth.store.columns import FLIPS
from lth.store.names import did_you_mean, similar

SHOWN = 12  # values, conditions and columns that an error lists


def where(table: pd.DataFrame, conditions: Sequence[str]) -> pd.DataFrame:
    """The rows that meet all conditions, such as criterion=magnitude,movement: one of the values; - is none, null what
    was configured as null. Raises UserError for an unknown column, and for a value that no row has.
    """
    for condition in conditions:
        key, equals, values = condition.partition("=")
        if not equals or not values:
            raise UserError(f"{condition}: write key=value, such as level=3 or criterion=magnitude,movement")
        check_column(table, key)
        kept = pd.Series(np.logical_or.reduce([_equal(table, key, v) for v in _each(table[key], values)]), table.index)
        table = table[kept]
    return table


def condition(column: str, value: Any) -> str:
    """The condition that rows with this value meet."""
    text = MISSING if pd.isna(value) else f"{value:.12g}" if isinstance(value, float) else str(value)
    return f"{column}={text}"


def evenly(levels: Sequence[int], count: int = 5) -> list[int]:
    """At most `count` of these levels in order, the first and the last among them."""
    some = min(count, len(levels))
    return sorted({levels[round(i * (len(levels) - 1) / max(some - 1, 1))] for i in range(some)})


def _each(column: pd.Series, text: str) -> list[str]:
    """The values between commas, but for those in brackets; one, if the column has the whole text."""
    if _matches(column, text).any():
        return [text]
    cuts, depth = [-1], 0
    for at, letter in enumerate(text):
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and depth <= 0:
            cuts.append(at)
    return [text[start + 1 : end] for start, end in pairwise([*cuts, len(text)])]


def _equal(table: pd.DataFrame, key: str, value: str) -> pd.Series:
    """Mask of the rows with this value; raises UserError if there is none."""
    column = table[key]
    found = column.isna() if value == MISSING else _matches(column, value)
    if key == "data" and not found.any():  # of data.limit, without the limit
        found = _matches(column.str.partition("[:")[0], value)
    if not found.any():
        raise UserError(f"{key}={value}: no row has it; there are {values(column)}")
    return found


def _matches(column: pd.Series, value: str) -> pd.Series:
    """Mask of the values that are this text or this number."""
    same = column.astype(str).str.replace(", ", ",") == ("None" if value == "null" else value.replace(", ", ","))
    try:
        number = float(value)
    except ValueError:
        return same
    return same | np.isclose(pd.to_numeric(column, errors="coerce").astype(float), number, rtol=1e-9, atol=0)


def values(column: pd.Series) -> str:
    """The different values of a column, as a list for readers."""
    known = [f"{v:g}" if isinstance(v, float) else str(v) for v in sorted(column.dropna().unique(), key=_rank)]
    known += [MISSING] if column.isna().any() else []
    more = f" and {len(known) - SHOWN} more" if len(known) > SHOWN else ""
    return ", ".join(known[:SHOWN]) + more


def _rank(value: Any) -> tuple[bool, Any]:
    """Numbers first, then texts; a column may have both."""
    return isinstance(value, str), value


def check_column(table: pd.DataFrame, key: str, words: Sequence[str] = ()) -> None:
    """Raise UserError that names similar columns if the table has no such one. words: what else may be written."""
    if key not in table:
        known = [*dict.fromkeys([*words, *map(str, table)])]
        near = similar(key, known, most=3, cutoff=0.6) or [each for each in known if key.lower() in each.lower()][:3]
        more = f" and {len(known) - SHOWN} more, which lth table --format csv has" if len(known) > SHOWN else ""
        there = f"; there are {', '.join(known[:SHOWN])}{more}"
        raise UserError(f"{key}: there is no such column{did_you_mean(near) or there}")


def number(table: pd.DataFrame, word: str) -> str:
    """The column of numbers that a word names: accuracy (or another metric) and loss at early stop, macs of the
    remaining weights (macs_all: of all), or any column. Raises UserError.
    """
    found = metric(table)
    words = {
        found.name: found.early,
        f"final_{found.name}": found.final,
        f"validation_{found.name}": f"early_stop_val_{found.name}",
        "loss": "early_stop_val_loss",
        "macs": "macs_remaining",
        "macs_all": "macs",
    }
    column = words.get(word, word)
    if word == "accuracy" and found.name != "accuracy":
        raise UserError(f"accuracy: these trainings have none; take {found.name}, or loss")
    if word == "bytes" and word not in table:
        raise UserError("bytes: only quantized trainings have it (quantization=); lth compress measures files")
    check_column(table, column, [*words])
    return _numeric(table, word, column)


def curve(evaluations: pd.DataFrame, word: str) -> str:
    """The column of a table of evaluations that a word names: accuracy (or another metric) is that of the test set,
    loss that of the validation set. Raises UserError.
    """
    column = {"loss": "validation_loss"}.get(word, word if word in evaluations else f"test_{word}")
    if column not in evaluations:
        known = [c for c in evaluations if str(c).startswith(("train_", "validation_", "test_"))]
        raise UserError(f"{word} is not recorded over the steps; choose from {', '.join(map(str, known))}")
    return _numeric(evaluations, word, column)


def _numeric(table: pd.DataFrame, word: str, column: str) -> str:
    if not pd.api.types.is_numeric_dtype(table[column]) or pd.api.types.is_bool_dtype(table[column]):
        raise UserError(f"{word}: {values(table[column])} are not numbers; use it with --by, --rows or --where")
    if table[column].isna().all():
        raise UserError(f"{word}: no training in this table has it")
    return column


def scale(column: str) -> float:
    """Factor of shown values: accuracies and shares are shown in percent."""
    return 100.0 if column.endswith("accuracy") or column in ("density", "layers_kept", FLIPS) else 1.0


def digits(column: str, values: pd.Series) -> int:
    """Digits after the point of shown values: fewer of percent and of large ones, none of steps."""
    if column in ("early_stop_step", "steps"):
        return 0
    return 2 if scale(column) == 100 or values.abs().max() >= 100 else 4


def title(column: str) -> str:
    """Label of an axis or head of a column."""
    named = {
        "density": "percent of weights remaining",
        "layers_kept": "layers that keep weights (%)",
        "early_stop_val_loss": "validation loss at early stop",
        "early_stop_step": "early-stop step",
        "macs": "multiply-accumulates of training and evaluation (of all weights)",
        "macs_remaining": "multiply-accumulates of training and evaluation (of remaining weights)",
        "seconds": "seconds of training",
        FLIPS: "sign flips (% of kept weights)",
    }
    return named.get(column) or _metric_title(column) + (" (%)" if column.endswith("accuracy") else "")


def _metric_title(column: str) -> str:
    for start, end in (("early_stop_test_", "early stop"), ("final_test_", "the end")):
        if column.startswith(start):
            return f"test {column.removeprefix(start)} at {end}".replace("_", " ")
    if column.startswith("early_stop_val_"):
        return f"validation {column.removeprefix('early_stop_val_')} at early stop".replace("_", " ")
    return column if "." in column else column.replace("_", " ")
