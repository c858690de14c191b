"""Tables of measured nets: shared columns and output files."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from lth.analysis.committed import note
from lth.file import write_text
from lth.store.environment import commit, environment, machine
from lth.store.file import make_folder


def where() -> dict[str, str]:
    """Provenance columns of a measurement: machine, commit, date."""
    return {key: environment()[key] for key in ("machine", "commit", "date")}


def provenance(how: str, extra: Sequence[str] = ()) -> str:
    """The line under a table: machine, how it was measured, commit, what ± means, and further facts."""
    facts = [f"{machine()}, {how}", f"commit {commit()}", "mean ± standard deviation over n replicates", *extra]
    return "; ".join(facts)


def write(table: pd.DataFrame, text: str, out: Path, name: str) -> list[Path]:
    """Write <out>/<name>.csv (the table) and <out>/<name>.md (the text); returns both paths."""
    make_folder(out, "Set --out to another folder")
    csv, markdown = out / f"{name}.csv", out / f"{name}.md"
    write_text(csv, table.to_csv(index=False))
    write_text(markdown, f"{text}\n")
    note([csv, markdown])
    return [csv, markdown]
