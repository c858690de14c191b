"""The metric of a table of tickets: its columns, and how it is shown. Imports no PyTorch."""

from dataclasses import dataclass

import pandas as pd

from lth import UserError

EARLY_STOP, AT_END = "early_stop_test_", "final_test_"


@dataclass(frozen=True)
class Metric:
    """A metric, named as in the column final_test_accuracy. Accuracies, such as balanced_accuracy, are shown in
    percent, others in their own units.
    """

    name: str

    @property
    def is_accuracy(self) -> bool:
        """True for a share of right answers."""
        return self.name == "accuracy" or self.name.endswith("_accuracy")

    @property
    def early(self) -> str:
        """Column of its test value at early stop."""
        return f"{EARLY_STOP}{self.name}"

    @property
    def final(self) -> str:
        """Column of its test value at the end."""
        return f"{AT_END}{self.name}"

    @property
    def test(self) -> str:
        """Column of its test value in a table of evaluations."""
        return f"test_{self.name}"

    @property
    def scale(self) -> float:
        """Factor that shown values are multiplied by."""
        return 100.0 if self.is_accuracy else 1.0

    @property
    def digits(self) -> int:
        """Digits after the point."""
        return 2 if self.is_accuracy else 4

    @property
    def words(self) -> str:
        """Its name in a sentence."""
        return self.name.replace("_", " ")

    @property
    def title(self) -> str:
        """Head of its column in a table for readers."""
        return self.words + (" %" if self.is_accuracy else "")

    def axis(self, where: str = "") -> str:
        """Label of an axis, such as "test accuracy at early stop (%)"."""
        unit = " (%)" if self.is_accuracy else ""
        return f"test {self.words}{where}{unit}"


def metric(table: pd.DataFrame) -> Metric:
    """The metric of these tickets. Raises UserError if they have several, which can't share a column or an axis."""
    return _only(table, (AT_END, EARLY_STOP))


def metric_of_curves(evaluations: pd.DataFrame) -> Metric:
    """The metric of these evaluations. Raises UserError if they have several."""
    return _only(evaluations.drop(columns="test_loss", errors="ignore"), ("test_",))


def _only(table: pd.DataFrame, prefixes: tuple[str, ...]) -> Metric:
    columns = [column for column in table if column.startswith(prefixes) and table[column].notna().any()]
    found = sorted({column.removeprefix(p) for column in columns for p in prefixes if column.startswith(p)})
    if len(found) != 1:
        raise UserError(f"{' and '.join(found) or 'no metric'} in one table: show experiments of one task at a time, "
                        "and give a run of another task a name of its own (name=...)")  # fmt: skip
    return Metric(found[0])


def accuracy(table: pd.DataFrame, what: str) -> Metric:
    """The metric of these tickets; raises UserError if it is no accuracy."""
    if not (found := metric(table)).is_accuracy:
        raise UserError(f"{what} compares accuracies, and these experiments have {found.title} instead")
    return found


def shown(name: str, value: float, digits: int = 2) -> str:
    """A value with its unit: "accuracy 97.31%", "absolute error 0.4213"."""
    number = f"{100 * value:.{digits}f}%" if (found := Metric(name)).is_accuracy else f"{value:.{found.digits}f}"
    return f"{found.words} {number}"
