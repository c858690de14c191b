"""Cost statement of experiments: the sums of their ledgers, with every assumption named."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lth import UserError
from lth.analysis import registry
from lth.analysis.cost import chosen, tables, text

if TYPE_CHECKING:
    import pandas as pd

    from lth.analysis.cost.total import Rates

HEADER = {
    "experiment": "experiment", "trainings": "trainings", "shared": "shared", "steps": "steps", "samples": "samples",
    "macs": "MACs", "macs_remaining": "MACs remaining", "wall_hours": "wall h", "cpu_hours": "CPU h",
    "energy_kwh": "energy kWh", "energy_method": "method", "kwh_pue": "kWh x PUE", "co2e_kg": "CO2e kg",
    "dollars_low": "$ preemptible", "dollars_high": "$ on demand",
}  # fmt: skip


@dataclass(frozen=True)
class Names:
    """Entries of the tables by name, and a file of one's own tables."""

    region: str = "strubell2019"
    pue: str = "strubell2019"
    price: str = "cpu_core"
    watts: str = "cpu_core"
    own: Path | None = None


def markdown(name: str, rows: "pd.DataFrame") -> str:
    """What one experiment cost, by the entries that are taken if none are named: a table and its notes."""
    return statement({name: rows}, rates_of(Names()), "markdown")


def rates_of(names: Names) -> "Rates":
    """Look the entries up in the tables; raises UserError."""
    from lth.analysis.cost.total import Rates

    known = tables(names.own)
    return Rates(
        chosen(known, "region", names.region), chosen(known, "pue", names.pue),
        chosen(known, "price", names.price), chosen(known, "watts", names.watts),
    )  # fmt: skip


def parts(experiments: Sequence[str], runs: Path) -> "dict[str, pd.DataFrame]":
    """Experiment -> its trainings. Raises UserError."""
    stored = _stored(runs)
    found = {name: _rows(name, runs) for name in experiments or stored or registry.names()}
    for name in experiments:
        if found[name].empty and name not in (known := sorted({*stored, *registry.names()})):
            raise UserError(f"there is no experiment '{name}'; choose of {', '.join(known)}")
        if found[name].empty:
            raise UserError(f"nothing of {name} is stored under {runs}; lth run experiment={name} trains it", code=1)
    found = {name: rows for name, rows in found.items() if not rows.empty}
    if not found:
        raise UserError(f"nothing is stored under {runs}; lth run trains, --runs names another folder", code=1)
    return found


def _stored(runs: Path) -> list[str]:
    from lth.store import records

    return sorted({record["experiment"] for record in records(runs)})


def _rows(name: str, runs: Path) -> "pd.DataFrame":
    """Of the store, or else of the results that come with lth; empty if there are none."""
    import pandas as pd

    from lth.store import table

    rows = table.tickets(runs, name)
    committed = registry.RESULTS / f"{name}.csv"
    return pd.read_csv(committed) if rows.empty and committed.is_file() else rows


def statement(parts: "dict[str, pd.DataFrame]", rates: "Rates", form: str) -> str:
    """The sums of experiments as text: a table and its notes, or CSV."""
    import pandas as pd

    from lth.analysis.cost import total

    rows = pd.concat(parts.values(), ignore_index=True)
    sums, each = total.totals(rows, rates), total.trainings(rows, rates)
    if form == "csv":
        return str(sums[list(HEADER)].to_csv(index=False)).rstrip("\n")
    cells = [[_cell(column, row[column]) for column in HEADER] for row in sums.to_dict("records")]
    return text(list(HEADER.values()), cells, [*_gaps(each), *_assumptions(each, rates)])


def _gaps(each: "pd.DataFrame") -> list[str]:
    from lth.analysis.cost import total

    gaps = [f"{HEADER[c]}: {k} of {n}" for c, (k, n) in total.missing(each).items()]
    notes = [f"a dash: not known for all trainings ({', '.join(gaps)})"] if gaps else []
    if (each["device"].dropna() != "cpu").any():
        notes.append("of trainings on a GPU --watts and --price name the GPU")
    if each["device"].isna().any():
        notes.append("results from before there was a ledger don't name their device: a core is taken")
    return notes


def _assumptions(each: "pd.DataFrame", rates: "Rates") -> list[str]:
    from lth.analysis.cost import total

    notes = [f"region {rates.region}", f"PUE {rates.pue}", f"price {rates.price}"]
    if (each["energy_method"] == total.ESTIMATED).any():
        notes.append(f"{total.ESTIMATED}: wall hours x watts {rates.watts}")
    return [*notes, "shared: trainings that another of these experiments uses too; a total counts each once"]


def _cell(column: str, value: object) -> str:
    if not isinstance(value, float | int):
        return str(value)
    if math.isnan(value):
        return "-"
    if column in ("trainings", "shared", "steps", "samples"):
        return f"{value:,.0f}"
    return f"{value:,.1f}" if column.endswith("hours") and value >= 100 else f"{value:.3g}"
