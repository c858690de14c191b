"""Columns of a table of tickets: keys, configuration, results. Imports no PyTorch."""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from lth.store.record import OWN_STEPS

# Columns that identify a ticket within a configuration; `bits` is there if something was quantized, `branch_settings`
# if a branch has arguments other than its defaults.
KEYS = ("experiment", "branch", "branch_settings", "bits", "draw", "replicate", "level")
# Functions, beside those of a recipe, that decide what is pruned and where it starts again; each is a column.
SCIENCE = ("init", "criterion", "distribution", "structure", "schedule", "rewind")
# Usage of a training; older results have seconds alone, and most machines don't measure energy.
USAGE = ("seconds", "cpu_seconds", "device", "samples", "evaluated", "macs", "macs_remaining", "energy_kwh",
         "energy_method", "devices")  # fmt: skip
# Share of the kept weights whose signs at the start and at the end of a training are opposite; older results have none.
FLIPS = "sign_flips"
# Measures of a net beside its siblings (see `lth.connectivity.compare`) or of its masks (`lth.supermask.sampled`).
COMPARED = ("barrier", "train_barrier", "line_errors", "train_line_errors", "distance", "angle", "whole_distance",
            "whole_angle", "disagreement", "ensemble", "before_barrier", "before_train_barrier", "before_distance",
            "before_disagreement", "mask_distances",
            "sampled_test_loss", "sampled_test_accuracy", "ones", "ones_by_layer")  # fmt: skip
# Columns that describe a ticket or the outcome of its training, beside those of the metric.
RESULTS = {"density", "remaining", "total", "layers_kept", "machine", "commit", "date", "digest", "bits", "bytes",
           "left_in_float", "stale", "multiplies", FLIPS, OWN_STEPS, *USAGE, *COMPARED}  # fmt: skip
VALUE = "validation_"
OWN = "compared_"  # before the name of a column of a user's own comparison
OUTCOMES = ("early_stop_", "final_", OWN)


def configures(column: str) -> bool:
    """True if a column is neither a key nor a result, but part of the configuration."""
    return column not in (*RESULTS, *KEYS) and not column.startswith(OUTCOMES)


def independent(rows: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The rows of a record without further draws of the same training, in which nothing was random."""
    first: dict[tuple[Any, ...], Mapping[str, Any]] = {}
    for row in rows:
        first.setdefault(tuple(map(row.get, ("branch", "branch_settings", "level", "bits", "digest"))), row)
    return [*first.values()]


def metric_name(columns: Iterable[str]) -> str:
    """The metric of an evaluation, such as "accuracy": that of the column validation_accuracy."""
    return next(c.removeprefix(VALUE) for c in columns if c.startswith(VALUE) and c != f"{VALUE}loss")


def early_stop(evaluations: pd.DataFrame) -> dict[str, Any]:
    """The early-stop step (first minimum of the validation loss over the whole run), the metric there and at the end;
    accuracies in [0, 1] (Frankle & Carbin 2019, Section 2 and Appendix C).
    """
    best, last = evaluations.loc[evaluations["validation_loss"].idxmin()], evaluations.iloc[-1]
    name = metric_name(evaluations)
    return {
        "early_stop_step": int(best["step"]),
        "early_stop_val_loss": float(best["validation_loss"]),
        f"early_stop_val_{name}": float(best[f"validation_{name}"]),
        f"early_stop_test_{name}": float(best[f"test_{name}"]),
        f"final_test_{name}": float(last[f"test_{name}"]),
    }
