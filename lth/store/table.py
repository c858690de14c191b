"""The store -> tidy pandas tables: one row per trained ticket, one per evaluation. Imports no PyTorch."""

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from lth.store.file import Corrupt
from lth.store.record import records
from lth.store.result import read_result

if TYPE_CHECKING:
    from lth.ticket import Trained

log = logging.getLogger("lth")

# Columns that say which ticket of a configuration a row is and what came out; all others are the configuration.
RESULTS = {"density", "remaining", "total", "early_stop_step", "early_stop_val_loss", "early_stop_val_accuracy",
           "early_stop_test_accuracy", "final_test_accuracy", "final_train_accuracy", "seconds", "machine", "commit",
           "date", "digest", "cpu_seconds", "device", "samples", "evaluated", "macs", "macs_remaining", "energy_kwh",
           "energy_method", "bits", "bytes"}  # fmt: skip
# Of a training's ledger; results from before there was one have only the seconds, and most machines measure no energy.
LEDGER = ("seconds", "cpu_seconds", "device", "samples", "evaluated", "macs", "macs_remaining", "energy_kwh",
          "energy_method")  # fmt: skip
KEYS = ["experiment", "branch", "draw", "replicate", "level"]


def early_stop(evaluations: pd.DataFrame) -> dict[str, Any]:
    """The early-stop step, that of the minimum validation loss over the whole run, the first of equal ones, and the
    accuracies there and at the end (Frankle & Carbin 2019, Section 2 and Appendix C).
    """
    best, last = evaluations.loc[evaluations["validation_loss"].idxmin()], evaluations.iloc[-1]
    return {
        "early_stop_step": int(best["step"]),
        "early_stop_val_loss": float(best["validation_loss"]),
        "early_stop_val_accuracy": float(best["validation_accuracy"]),
        "early_stop_test_accuracy": float(best["test_accuracy"]),
        "final_test_accuracy": float(last["test_accuracy"]),
    }


def origin(trained: "Trained") -> dict[str, Any]:
    """Columns that say which ticket was trained, and how much of it remains at the end (m_T)."""
    from lth.ticket import density, remaining, total

    ticket, mask = trained.ticket, trained.mask
    return {
        "branch": ticket.branch,
        "draw": ticket.draw,
        "level": ticket.level,
        **({} if ticket.bits is None else {"bits": ticket.bits}),
        "density": density(mask),
        "remaining": remaining(mask),
        "total": total(mask),
    }


def row(trained: "Trained") -> dict[str, Any]:
    """The row of a trained ticket in the table."""
    return {**origin(trained), **early_stop(trained.evaluations), **_facts(trained.steps, trained.facts)}


def tickets(root: Path, experiment: str | None = None) -> pd.DataFrame:
    """One row per trained ticket of each experiment."""
    rows = [
        {**_labels(record, item), **early_stop(result["evaluations"]),
         **_facts(item.get("steps", result["steps"]), result["facts"]), **_origin(result["environment"]),
         "digest": result["digest"]}
        for record, item, result in _results(root, experiment)
    ]  # fmt: skip
    table = pd.DataFrame(rows)
    if table.empty:
        return table
    if "rewind.step" in table:
        table["rewind.step"] = table["rewind.step"].fillna(0).astype(int)
    if "precision" in table:
        table["precision"] = table["precision"].fillna("fp32")
    configuration = [column for column in table if column not in (*RESULTS, *KEYS)]
    table = table.drop_duplicates([*KEYS, *configuration, "digest"])
    return table.sort_values(["experiment", *configuration, *KEYS[1:]], ignore_index=True)


def evaluations(root: Path, experiment: str | None = None) -> pd.DataFrame:
    """One row per evaluation of every trained ticket: the learning curves."""
    parts = [
        result["evaluations"].assign(
            **{k: v for k, v in _labels(record, item).items() if k in {*KEYS, "density"}}, digest=item["digest"]
        )
        for record, item, result in _results(root, experiment)
    ]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _results(root: Path, experiment: str | None) -> Iterator[tuple[Any, Any, Any]]:
    for record in records(root):
        if experiment in (None, record["experiment"]):
            for item in record["rows"].values():
                try:
                    yield record, item, read_result(root / "trained" / item["digest"])
                except Corrupt as damage:
                    log.warning("%s; run its experiment again to train it again", damage)


def _labels(record: Mapping[str, Any], item: Mapping[str, Any]) -> dict[str, Any]:
    labels = {key: value for key, value in item.items() if key != "digest"}
    return {"experiment": record["experiment"], **record["columns"], **labels}


def _facts(steps: int, facts: Mapping[str, Any]) -> dict[str, Any]:
    spent = {key: facts[key] for key in LEDGER if key in facts}
    return {"final_train_accuracy": facts["final_train_accuracy"], "steps": steps, **spent}


def _origin(environment: Mapping[str, str]) -> dict[str, str]:
    return {key: environment[key] for key in ("machine", "commit", "date")}
