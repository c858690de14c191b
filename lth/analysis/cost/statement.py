"""Cost statement of experiments: sums over their trainings, with every assumption named."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lth.analysis.cost.table import entry, tables
from lth.analysis.markdown import aligned

if TYPE_CHECKING:
    import pandas as pd

    from lth.analysis.cost.total import Rates

HEADER = {
    "experiment": "experiment", "trainings": "trainings", "shared": "shared", "steps": "steps", "samples": "samples",
    "macs": "MACs", "macs_remaining": "MACs remaining", "wall_hours": "wall h", "cpu_hours": "CPU h",
    "energy_kwh": "energy kWh", "energy_method": "method", "kwh_pue": "kWh x PUE", "co2e_kg": "CO2e kg",
    "dollars_low": "$ preemptible", "dollars_high": "$ on demand",
}  # fmt: skip
# Columns that change their unit together where all their values are below a tenth of it: unit, smaller one, how many.
SMALLER = {
    ("wall_hours", "cpu_hours"): (" h", " s", 3600),
    ("energy_kwh", "kwh_pue"): ("kWh", "Wh", 1000),
    ("co2e_kg",): (" kg", " g", 1000),
}
SHARED = "shared: trainings that another of these experiments uses too; a total counts each once"


@dataclass(frozen=True)
class Statement:
    """Costs of experiments.

    sums: a row per experiment and energy method, columns HEADER, NaN where unknown.
    notes: its assumptions.
    """

    sums: "pd.DataFrame"
    notes: tuple[str, ...]

    @property
    def cells(self) -> "pd.DataFrame":
        """The sums as text under their titles, small ones in small units; a dash where unknown."""
        import pandas as pd

        return pd.DataFrame(
            {
                title: [_cell(name, value * count if count > 1 else value) for value in self.sums[name].tolist()]
                for name, (title, count) in _units(self.sums).items()
            }
        )

    def markdown(self) -> str:
        """A table and its notes."""
        return markdown(list(self.cells), self.cells.to_numpy().tolist(), [*self.notes, SHARED])

    def csv(self) -> str:
        """The sums alone, unrounded."""
        return str(self.sums.to_csv(index=False)).rstrip("\n")


def statement(parts: "dict[str, pd.DataFrame]", rates: "Rates | None" = None) -> Statement:
    """The statement of experiments, name -> tickets; rates: by default those of `rates_of`."""
    import pandas as pd

    from lth.analysis.cost import total

    rates = rates or rates_of()
    rows = pd.concat(parts.values(), ignore_index=True)
    each, sums = total.trainings(rows, rates), total.totals(rows, rates)[list(HEADER)]
    return Statement(sums, (*_gaps(each, _units(sums)), *_assumptions(each, rates)))


def rates_of(
    *,
    region: str = "strubell2019",
    pue: str = "strubell2019",
    price: str = "cpu_core",
    watts: str = "cpu_core",
    own: Path | None = None,
) -> "Rates":
    """Look these entries up in the tables, to which a file of one's own may add; raises UserError."""
    from lth.analysis.cost.total import Rates

    known, names = tables(own), {"region": region, "pue": pue, "price": price, "watts": watts}
    return Rates(**{kind: entry(known, kind, name) for kind, name in names.items()})


def markdown(header: Sequence[str], cells: Sequence[Sequence[str]], notes: Sequence[str]) -> str:
    """A table and below it its notes as items."""
    return "\n".join([aligned([header, *cells]), "", *(f"- {note}" for note in notes)])


def _units(sums: "pd.DataFrame") -> dict[str, tuple[str, int]]:
    """Column -> its title, with the unit, and how many of this unit are one of the column."""
    units = {column: (title, 1) for column, title in HEADER.items()}
    for columns, (unit, smaller, count) in SMALLER.items():
        if sums[[*columns]].max(axis=None) < 0.1:
            units |= {column: (HEADER[column].replace(unit, smaller), count) for column in columns}
    return units


def _gaps(each: "pd.DataFrame", units: Mapping[str, tuple[str, int]]) -> list[str]:
    from lth.analysis.cost import total

    gaps = [f"{units[c][0]}: {k} of {n}" for c, (k, n) in total.missing(each).items()]
    notes = [f"a dash: not known for all trainings ({', '.join(gaps)})"] if gaps else []
    if each["device"].isna().any():
        notes.append("older results don't name their device: one CPU core is assumed")
    return notes


def _assumptions(each: "pd.DataFrame", rates: "Rates") -> list[str]:
    from lth.analysis.cost import total

    notes = [f"region {rates.region}", f"PUE {rates.pue}", f"price {rates.price}"]
    if (each["energy_method"] == total.ESTIMATED).any():
        of_core = rates.watts.device == "cpu"
        hours = "CPU hours (where not known, wall hours x threads)" if of_core else "wall hours"
        notes.append(f"{total.ESTIMATED}: {hours} x watts {rates.watts}")
    on_cpu = each["device"].isna() | (each["device"] == "cpu")
    named = {"--price": rates.price.device, "--watts": rates.watts.device}
    if not on_cpu.all() and (left := [option for option, device in named.items() if device != "gpu"]):
        notes.append(f"trainings on a GPU: give {' and '.join(left)} the name of the GPU, such as a100")
    if on_cpu.all():
        notes += [f"{option} names a {device.upper()}, on which none of these was trained"
                  for option, device in named.items() if device not in (None, "cpu")]  # fmt: skip
    return notes


def _cell(column: str, value: Any) -> str:
    if not isinstance(value, float | int):
        return str(value)
    if math.isnan(value):
        return "-"
    if column in ("trainings", "shared", "steps", "samples"):
        return f"{value:,.0f}"
    return f"{value:,.0f}" if column.endswith("hours") and value >= 100 else f"{value:.3g}"
