"""Sums over trainings per experiment; measured and estimated energy are in different rows.

A training is a row of `lth.store.table.tickets`; old ones have only seconds. A sum with an unknown term is NaN.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from lth.analysis.cost.formula import kwh
from lth.analysis.cost.table import Entry
from lth.store.record import OWN_STEPS

ESTIMATED, UNKNOWN = "estimated (constant W)", "-"
SUMMED = ("steps", "samples", "macs", "macs_remaining", "wall_hours", "cpu_hours", "energy_kwh", "kwh_pue", "co2e_kg",
          "dollars_low", "dollars_high")  # fmt: skip
TOTAL = "total"


@dataclass(frozen=True)
class Rates:
    """Rates by which energy, CO2e and dollars are computed. Price and watts apply to trainings on their device."""

    region: Entry
    pue: Entry
    price: Entry
    watts: Entry


def totals(table: pd.DataFrame, rates: Rates) -> pd.DataFrame:
    """A row per experiment and energy method and, for several experiments, rows of the total. A training counts once in
    each row, however many tickets of the experiment or experiments use it; `shared` of them are also used by another
    experiment of the table. energy_kwh: of the device; kwh_pue: with the overhead of its data center;
    dollars: preemptible and on demand.
    """
    each = trainings(table, rates).drop_duplicates(["experiment", "digest"])
    users = each.groupby("digest")["experiment"].transform("nunique")
    each = each.assign(shared=users > 1)
    parts = (
        [each] if each["experiment"].nunique() == 1 else [each, each.drop_duplicates("digest").assign(experiment=TOTAL)]
    )
    return pd.concat([_summed(part) for part in parts], ignore_index=True)


def trainings(table: pd.DataFrame, rates: Rates) -> pd.DataFrame:
    """The rows of a table with their costs, NaN where unknown."""
    wanted = [*table.columns, "cpu_seconds", "samples", "macs", "macs_remaining", "energy_kwh", "energy_method"]
    wanted += ["device", "devices", "threads"]
    known = table.reindex(columns=[*dict.fromkeys(wanted)])
    hours, measured = known["seconds"] / 3600, _numbers(known, "energy_kwh")
    energy = measured.fillna(_full_load(known, hours, rates.watts) * rates.watts.value / 1000)
    method = known["energy_method"].astype(object).where(measured.notna(), ESTIMATED).where(energy.notna(), UNKNOWN)
    overhead = energy * kwh(1, 1000, rates.pue.value)
    paid, (low, high) = hours * _devices(known, rates.price), rates.price.value
    steps = _steps(known)
    samples = _numbers(known, "samples").fillna(steps * known["batch_size"])
    return known.assign(
        steps=steps, samples=samples, macs=_numbers(known, "macs"), macs_remaining=_numbers(known, "macs_remaining"),
        wall_hours=hours, cpu_hours=_numbers(known, "cpu_seconds") / 3600, energy_kwh=energy, energy_method=method,
        kwh_pue=overhead, co2e_kg=overhead * rates.region.value, dollars_low=paid * low, dollars_high=paid * high,
    )  # fmt: skip


def missing(table: pd.DataFrame) -> dict[str, tuple[int, int]]:
    """Column -> (trainings for which it is known, trainings), for the sums that are not known for all."""
    each = table.drop_duplicates("digest")
    return {c: (int(each[c].notna().sum()), len(each)) for c in SUMMED if each[c].isna().any()}


def _summed(each: pd.DataFrame) -> pd.DataFrame:
    groups = each.groupby(["experiment", "energy_method"], sort=True)
    counts = groups.agg(trainings=("digest", "size"), shared=("shared", "sum"))
    return counts.join(groups[list(SUMMED)].agg(lambda values: values.sum(skipna=False))).reset_index()


def _full_load(table: pd.DataFrame, hours: pd.Series, entry: Entry) -> pd.Series:
    """Hours of one device under full load, as the watts are: CPU hours of a core, where they are known, so that a
    training that waits for others is not charged for waiting; else wall hours of every device.
    """
    charged = hours * _devices(table, entry)
    if entry.device != "cpu":
        return charged
    return (_numbers(table, "cpu_seconds") / 3600).where(charged.notna()).fillna(charged)


def _devices(table: pd.DataFrame, entry: Entry) -> pd.Series:
    """Number of the devices that the entry is of, NaN where a training ran on another kind of device. One on a CPU uses
    a core for each thread; old results don't name their device, a core is assumed.
    """
    devices = _numbers(table, "devices").fillna(1)
    if entry.device is None:
        return devices
    on_cpu = table["device"].isna() | (table["device"] == "cpu")
    cores = _numbers(table, "threads").fillna(1).where(on_cpu, 1)
    return (devices * cores).where(on_cpu.map({True: "cpu", False: "gpu"}) == entry.device)


def _steps(table: pd.DataFrame) -> pd.Series:
    """Optimizer steps made: T - k. Where no samples are known, k is 0 or, above level 0, rewind.step. A branch with
    steps of its own may have batches of another size too, and made its own steps at most.
    """
    rewound = table.get("rewind.step", pd.Series(0, index=table.index)).fillna(0).where(table["level"] > 0, 0)
    made = (_numbers(table, "samples") / table["batch_size"]).fillna(table["steps"] - rewound)
    return made if OWN_STEPS not in table else made.clip(upper=_numbers(table, OWN_STEPS).fillna(np.inf))


def _numbers(table: pd.DataFrame, column: str) -> pd.Series:
    return pd.to_numeric(table[column]).astype("float64")
