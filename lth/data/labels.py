"""Validation of the targets of a data set, and the number of its classes."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from lth import UserError
from lth.data.check import LARGEST, Splits, are_numbers, are_tokens

if TYPE_CHECKING:
    from lth.data.dataset import Split

ONE = "so that there is nothing to learn: add examples of others; for numbers to predict, give floats"
NUMBER = "Number them from 0 on (np.searchsorted(np.unique(labels), labels))"


def classes(name: str, splits: Splits, given: int | None) -> int | None:
    """The number of classes, None if the targets are numbers; raises UserError."""
    for which, split in splits.items():
        _check_targets(f"the {which} targets of {name}", split)
    train = splits["training"]
    if len({(are_numbers(split), split.targets.shape[1:]) for split in splits.values()}) > 1:
        raise UserError(f"the targets of {name} differ in type or shape between the splits: give all of them alike")
    if are_numbers(train):
        if given is not None:
            raise UserError(f"classes={given}: the targets of {name} are {train.targets.dtype.name}, numbers to "
                            "predict. Convert classes to int64")  # fmt: skip
        _check_spacing(name, splits)
        return None
    if given is not None and (isinstance(given, bool) or not isinstance(given, int | np.integer)):
        raise UserError(f"classes={given!r} of {name}: give a whole number")
    seen = {which: np.unique(_labels(split)) for which, split in splits.items()}
    for which, labels in seen.items():
        if labels[0] < 0:
            raise UserError(f"the {which} set of {name} has the label {labels[0]}: classes are 0 to C - 1. {NUMBER}, "
                            "and leave out examples without a class; for numbers to predict, give floats")  # fmt: skip
    return _implied(name, seen) if given is None else _confirmed(name, seen, given)


def _check_spacing(name: str, splits: Splits) -> None:
    """Refuse targets that float32, in which losses are computed, can't tell apart."""
    values = np.concatenate([np.asarray(split.targets, dtype=np.float64).ravel() for split in splits.values()])
    if len(np.unique(values.astype(np.float32))) < 0.5 * len(np.unique(values)):
        raise UserError(f"the targets of {name} differ only in digits beyond float32 precision: subtract their mean "
                        "and divide by their standard deviation")  # fmt: skip


def _labels(split: "Split") -> np.ndarray:
    """All classes of a split; those of a sequence of tokens are tokens too."""
    together = split.targets.ndim == 2 and are_tokens(split)
    return np.concatenate([split.targets.ravel(), split.inputs.ravel()]) if together else split.targets


def _check_targets(where: str, split: "Split") -> None:
    targets = split.targets
    if targets.dtype.kind not in "biuf" or targets.dtype.itemsize > 8:
        raise UserError(f"{where} are of type {targets.dtype}: give classes as integers from 0 on (np.unique(labels, "
                        "return_inverse=True)[1]), or numbers as floats")  # fmt: skip
    if targets.ndim > 2 or 0 in targets.shape:
        raise UserError(f"{where} have the shape {targets.shape}: give N, or N x T (a class at each position) or N x k "
                        "(k numbers)")  # fmt: skip
    if targets.shape[1:] == (1,) and targets.dtype.kind != "f" and not are_tokens(split):
        raise UserError(f"{where} are integers, N x 1: give N labels (labels[:, 0]), or floats to predict numbers")
    if targets.dtype.kind == "f" and not (np.abs(targets.astype(np.float64)) <= LARGEST).all():
        raise UserError(f"{where} hold NaN, infinite values or such beyond float32: leave these examples out")


def _implied(name: str, seen: Mapping[str, np.ndarray]) -> int:
    """C, if every class is in the training set."""
    train, most = seen["training"], max(int(labels[-1]) for labels in seen.values())
    remedy = f"or say how many classes there are (Data(..., classes={most + 1}))"
    for which, labels in seen.items():
        if len(missing := np.setdiff1d(labels, train)):
            raise UserError(f"the {which} set of {name} has the label {missing[0]}, which the training set does not "
                            f"have: leave it out, {remedy}")  # fmt: skip
    if len(train) == 1:
        raise UserError(f"the training set of {name} has one class only, {ONE}")
    if len(train) <= most:
        gap = int(np.flatnonzero(train != np.arange(len(train)))[0])
        raise UserError(f"the training set of {name} has {len(train)} classes up to {most}, of which none is {gap}. "
                        f"{NUMBER}, {remedy}")  # fmt: skip
    return most + 1


def _confirmed(name: str, seen: Mapping[str, np.ndarray], given: int) -> int:
    if given < 2:
        raise UserError(f"{name} has classes={given}, {ONE}")
    for which, labels in seen.items():
        if labels[-1] >= given:
            raise UserError(f"the {which} set of {name} has the label {labels[-1]}: with classes={given} they are 0 to "
                            f"{given - 1}")  # fmt: skip
    return given
