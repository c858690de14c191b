"""Tables of measured nets: shared columns and output files."""

import logging
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from lth import UserError
from lth.analysis import committed
from lth.store.environment import commit, environment, load, machine

log = logging.getLogger("lth")


def where() -> dict[str, str]:
    """Provenance columns of a measurement: machine, commit, date."""
    return {key: environment()[key] for key in ("machine", "commit", "date")}


def provenance(how: str, extra: Sequence[str] = ()) -> str:
    """The line under a table: machine, how and under which load it was measured, commit, what ± means, and further
    facts.
    """
    measured = f"{machine()}, {how}, {load()}"
    facts = [measured, f"commit {commit()}", "mean ± standard deviation over n replicates", *extra]
    return "; ".join(facts)


def write(table: pd.DataFrame, text: str, out: Path, name: str) -> list[Path]:
    """Write <out>/<name>.csv (the table) and <out>/<name>.md (the text); returns both paths. Logs how many measurements
    of a former table are not repeated in this one.
    """
    if lost := _lost(out / f"{name}.csv", table):
        log.warning(
            "the former %s had %d measurements that this one lacks; give another folder as --out to keep both",
            name,
            lost,
        )
    return committed.write(out, {f"{name}.csv": table.to_csv(index=False), f"{name}.md": f"{text}\n"})


def _lost(file: Path, table: pd.DataFrame) -> int:
    """Number of rows of a former table whose net and format (or layout) this one lacks; 0 if the file is no table."""
    kind = "format" if "format" in table else "layout"
    keys = ["experiment", "config", "replicate", "level", kind]
    try:
        former = committed.read_csv(file, {"experiment": "text", "replicate": "count", "level": "count", kind: "text"})
    except UserError:
        return 0
    former = former.reindex(columns=keys)  # tables of older versions may lack some
    had, has = ({*part[keys].fillna("").itertuples(False, None)} for part in (former, table))
    return len(had - has)
