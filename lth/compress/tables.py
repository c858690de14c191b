"""Tables of measured nets: shared columns and output files."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from lth.analysis import committed
from lth.store.environment import commit, environment, machine


def where() -> dict[str, str]:
    """Provenance columns of a measurement: machine, commit, date."""
    return {key: environment()[key] for key in ("machine", "commit", "date")}


def provenance(how: str, extra: Sequence[str] = ()) -> str:
    """The line under a table: machine, how it was measured, commit, what ± means, and further facts."""
    facts = [f"{machine()}, {how}", f"commit {commit()}", "mean ± standard deviation over n replicates", *extra]
    return "; ".join(facts)


def write(table: pd.DataFrame, text: str, out: Path, name: str) -> list[Path]:
    """Write <out>/<name>.csv (the table) and <out>/<name>.md (the text); returns both paths."""
    return committed.write(out, {f"{name}.csv": table.to_csv(index=False), f"{name}.md": f"{text}\n"})
