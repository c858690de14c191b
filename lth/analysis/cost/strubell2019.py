"""Table 3 of Strubell, Ganesh & McCallum 2019, "Energy and Policy Considerations for Deep Learning in NLP" (ACL),
recomputed from watts, hours and prices per hour: kWh by Equation 1, CO2e by Equation 2.
"""

from dataclasses import dataclass
from typing import Any

from lth.analysis import document
from lth.analysis.cost.formula import dollars, kwh, pounds
from lth.analysis.cost.table import FOLDER, tables

HEADER = ("Model", "Hardware", "Power (W)", "Hours", "kWh x PUE", "CO2e (lb)", "Cloud compute cost",
          "printed: hours, kWh, CO2e, cost", "deviation")  # fmt: skip
DASH = "-"


@dataclass(frozen=True)
class Row:
    """A row of the table. kwh and co2e (pounds) are None where the paper has no watts; dollars: preemptible and on
    demand. printed: hours, kwh, co2e and dollars as the paper has them.
    """

    model: str
    hardware: str
    watts: float | None
    hours: float
    kwh: float | None
    co2e: float | None
    dollars: tuple[float, float]
    printed: dict[str, Any]
    note: str

    @property
    def pairs(self) -> list[tuple[float, float]]:
        """(recomputed, printed) of each printed result."""
        energy = [(self.kwh, self.printed["kwh"]), (self.co2e, self.printed["co2e"])]
        known = [(ours, theirs) for ours, theirs in energy if ours is not None]
        return [*known, *zip(self.dollars, self.printed["dollars"], strict=True)]

    @property
    def deviation(self) -> float:
        """The largest relative deviation of a result, rounded as the paper rounds, from the printed one."""
        return max(abs(round(ours) - theirs) / theirs for ours, theirs in self.pairs)


def rows(*, printed_hours: bool = False) -> list[Row]:
    """The eight rows. printed_hours: from the hours in the table itself, two of which are rounded or misprinted."""
    prices = tables()["price"]
    lines = document.read(FOLDER / "strubell2019.yaml")
    return [_row(line, line["printed"]["hours"] if printed_hours else line["hours"], prices) for line in lines]


def cells() -> list[list[str]]:
    """The table as text, a dash where the source has none."""
    return [
        [row.model, row.hardware, DASH if row.watts is None else f"{row.watts:,.2f}", f"{row.hours:,g}",
         _whole(row.kwh), _whole(row.co2e), _range(row.dollars), _printed(row.printed), f"{row.deviation:.1%}"]
        for row in rows()
    ]  # fmt: skip


def notes() -> list[str]:
    """Formulas of the table, and the rows where the paper's own hours differ."""
    worst = {(row.model, row.hardware): row.deviation for row in rows(printed_hours=True)}
    return [
        "kWh x PUE = 1.58 t (p_c + p_r + g p_g) / 1000 (Strubell, Ganesh & McCallum 2019, Equation 1), "
        "CO2e = 0.954 lb/kWh (EPA 2018, Equation 2); cost: preemptible to on demand",
        *(
            f"{row.model} on {row.hardware}: {row.note}; with the printed hours the deviation is "
            f"{worst[row.model, row.hardware]:.2%}"
            for row in rows()
            if row.note
        ),
    ]


def _row(line: dict[str, Any], hours: float, prices: Any) -> Row:
    energy = None if line["watts"] is None else kwh(hours, line["watts"])
    return Row(
        model=line["model"],
        hardware=line["hardware"],
        watts=line["watts"],
        hours=hours,
        kwh=energy,
        co2e=None if energy is None else pounds(energy),
        dollars=dollars(hours, line["devices"], prices[line["price"]].value),
        printed=line["printed"],
        note=line.get("note", ""),
    )


def _whole(value: float | None) -> str:
    return DASH if value is None else f"{round(value):,}"


def _range(pair: Any) -> str:
    return f"${round(pair[0]):,} to ${round(pair[1]):,}"


def _printed(printed: dict[str, Any]) -> str:
    return f"{printed['hours']:,}, {_whole(printed['kwh'])}, {_whole(printed['co2e'])}, {_range(printed['dollars'])}"
