"""Keywords of functions."""

from functools import partial
from typing import Any

import numpy as np

from lth.keywords import arguments, supplied, takes


def scores(net: str, *, task: str = "classification") -> str:
    return f"{net} {task}"


def whatever(**keywords: Any) -> None:
    """Has no keyword of its own."""


def test_a_function_is_given_the_keywords_that_it_has_and_no_others() -> None:
    assert scores("LeNet", **supplied(scores, task="regression", step=3)) == "LeNet regression"
    assert supplied(partial(scores, task="regression"), task="one_hot") == {"task": "one_hot"}
    assert supplied(whatever, task="regression") == {}


def test_arguments_are_the_bound_ones_and_the_defaults_of_the_others() -> None:
    assert arguments(scores) == (scores, {"task": "classification"})
    assert arguments(partial(partial(scores, net="LeNet"), task="regression")) == (
        scores, {"net": "LeNet", "task": "regression"}
    )  # fmt: skip
    assert arguments(min) == (min, {})


def test_a_function_without_a_signature_and_none_have_no_keyword() -> None:
    assert not takes(None, "task")
    assert not takes(np.maximum.reduce, "task")
    assert not takes(min, "key")  # of C, whose signature Python 3.11 does not know
