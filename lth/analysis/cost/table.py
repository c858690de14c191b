"""Named numbers with their sources: carbon intensity, PUE, prices, watts; from tables/*.yaml or a file of the user."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lth import UserError
from lth.analysis import document

FOLDER = Path(__file__).parent / "tables"
MOST = 10**9  # of any unit
DEVICES = ("cpu", "gpu", "tpu")
UNITS = {"region": "kg/kWh", "pue": "kWh/kWh", "price": "$/h", "watts": "W"}


@dataclass(frozen=True)
class Entry:
    """A number and its source. value: a number; for a price (preemptible, on demand). device: what it is the number of
    one of, cpu (one core), gpu or tpu; None: whatever a training ran on.
    """

    name: str
    value: Any
    unit: str
    year: int
    source: str
    device: str | None = None

    def __str__(self) -> str:
        return f"{self.name} = {self.shown} {self.unit} ({self.source}; {self.year})"

    @property
    def shown(self) -> str:
        """The value as text."""
        return " to ".join(f"{v:g}" for v in self.value) if isinstance(self.value, tuple) else f"{self.value:.4g}"


Tables = Mapping[str, Mapping[str, Entry]]


def tables(own: Path | None = None) -> Tables:
    """Table -> name -> entry. own: a YAML file of the same tables ({price: {mine: {value: ..., unit: ..., year: ...,
    source: ...}}}; device: cpu, gpu or tpu if it is of one), whose entries are added to ours or replace them. Raises
    UserError.
    """
    ours = {table: _entries(table, document.read(FOLDER / f"{table}.yaml"), {}) for table in UNITS}
    if own is None:
        return ours
    given = _read(own)
    if wrong := given.keys() - UNITS.keys():
        raise UserError(f"{own}: there is no table {', '.join(sorted(wrong)[:5])}; choose one of {', '.join(UNITS)}")
    try:
        return {table: {**ours[table], **_entries(table, given.get(table) or {}, ours[table])} for table in UNITS}
    except UserError as error:
        raise UserError(f"{own}: {error}") from error


def entry(all_tables: Tables, table: str, name: str) -> Entry:
    """The entry of that name; raises UserError that lists all."""
    if name not in all_tables[table]:
        raise UserError(f"there is no {table} '{name}'; choose one of {', '.join(all_tables[table])}")
    return all_tables[table][name]


def _read(file: Path) -> dict[str, Any]:
    content = document.read(file)
    if not isinstance(content, dict):
        raise UserError(f"{file}: must have tables, such as price: {{...}}")
    return content


def _entries(table: str, content: Any, ours: Mapping[str, Entry]) -> dict[str, Entry]:
    if not isinstance(content, dict):
        raise UserError(f"{table}: must have entries by name")
    return {str(name): _entry(table, str(name), fields, ours.get(str(name))) for name, fields in content.items()}


def _entry(table: str, name: str, fields: Any, ours: Entry | None) -> Entry:
    wanted, more = {"value", "unit", "year", "source"}, {"device"} if table in ("price", "watts") else set()
    if not isinstance(fields, dict) or set(fields) - more != wanted:
        may = ", and may have device" if more else ""
        raise UserError(f"{table}.{name}: must have exactly {', '.join(sorted(wanted))}{may}")
    if fields.get("device") not in (None, *DEVICES):
        raise UserError(f"{table}.{name}.device={str(fields['device'])[:60]}: must be one of {', '.join(DEVICES)}")
    if fields["unit"] != UNITS[table]:
        raise UserError(f"{table}.{name}.unit={str(fields['unit'])[:60]}: must be {UNITS[table]}")
    value = tuple(fields["value"]) if isinstance(fields["value"], list) else fields["value"]
    numbers = value if table == "price" and isinstance(value, tuple) and len(value) == 2 else (value,)
    if (table == "price") != (len(numbers) == 2) or not all(_good(table, number) for number in numbers):
        what = "two numbers, [preemptible, on demand]" if table == "price" else "a number"
        given = str(fields["value"])[:60]
        raise UserError(f"{table}.{name}.value={given}: must be {what}, {_least(table)} or more, and at most {MOST:,}")
    if type(fields["year"]) is not int or not 1 <= fields["year"] <= 9999:
        raise UserError(f"{table}.{name}.year={str(fields['year'])[:60]}: must be a year, such as 2019")
    device = fields.get("device", ours.device if ours else None)  # of one that it replaces
    return Entry(name, value, fields["unit"], fields["year"], str(fields["source"]), device)


def _good(table: str, number: Any) -> bool:
    return isinstance(number, int | float) and not isinstance(number, bool) and _least(table) <= number <= MOST


def _least(table: str) -> int:
    """Smallest valid value: PUE is at least 1."""
    return 1 if table == "pue" else 0
