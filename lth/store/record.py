"""Which trainings a job consists of, and how it ended. A job is one replicate of one configuration of an experiment."""

import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from lth.store.file import Corrupt, make_folder, read_json, write_json

log = logging.getLogger("lth")


@dataclass(frozen=True)
class Record:
    """root/experiments/<experiment>/<job>.json; several processes may add to the same one.

    columns: what all rows of the job have in common, such as {"model": "lenet_300_100", "replicate": 1}.
    """

    root: Path
    experiment: str
    job: str
    columns: Mapping[str, Any]

    def add(self, row: Mapping[str, Any]) -> None:
        """A trained ticket: branch, draw, level, digest and what else the table shows of it."""
        self._write(lambda old: {"rows": {**old["rows"], f"{row['branch']}/{row['draw']}/{row['level']}": dict(row)}})

    def status(self, status: str, error: str = "") -> None:
        """One of running, finished, interrupted, failed: the truth about the job, whatever a launcher says."""
        self._write(lambda _: {"status": status, "error": error})

    @property
    def file(self) -> Path:
        """Where it is kept."""
        return self.root / "experiments" / self.experiment / f"{self.job}.json"

    def _write(self, change: Any) -> None:
        make_folder(self.file.parent)
        with FileLock(self.file.with_suffix(".lock")):
            old = {"rows": {}, "status": "running", "error": ""}
            if self.file.exists():
                try:
                    old = read_json(self.file)
                except Corrupt as damage:
                    log.warning("%s; its rows are gathered anew", damage)
            new = {**old, "experiment": self.experiment, "columns": dict(self.columns), **change(old)}
            if new != old:
                write_json(self.file, new)


def records(root: Path) -> Iterator[dict[str, Any]]:
    """The content of every record under root, by file name; corrupt ones are named in a warning and left out."""
    for file in sorted((root / "experiments").glob("*/*.json")):
        try:
            yield _current(read_json(file))
        except Corrupt as error:
            log.warning("%s; run its experiment again to gather its rows again", error)


# Scopes of older stores -> distribution and structure.
_SCOPES = {
    "layerwise": ("by_kind", "weight"),
    "globally": ("globally", "weight"),
    "neurons": ("by_kind", "neuron"),
    "n_of_m": ("by_kind", "n_of_m"),
}


def _current(record: dict[str, Any]) -> dict[str, Any]:
    """A record with today's columns, whichever version wrote it."""
    return {
        **record,
        "columns": {new: each for key, value in record["columns"].items() for new, each in _columns(key, value)},
        "rows": {key: _row(row) for key, row in record["rows"].items()},
    }


def _columns(key: str, value: Any) -> list[tuple[str, Any]]:
    if key == "scope" and value in _SCOPES:
        return list(zip(("distribution", "structure"), _SCOPES[value], strict=True))
    return [(key.replace("scope.", "structure.", 1) if key.startswith("scope.") else key, value)]


def _row(row: dict[str, Any]) -> dict[str, Any]:
    """The row with branch "aware" and bits 3 (or "fp16") where an older store has branch "aware_3" ("aware_fp16")."""
    found = re.fullmatch(r"(.+)_(\d+|fp16|bf16)", row["branch"]) if "bits" in row else None
    return {**row, "branch": found[1], "bits": int(found[2]) if found[2].isdigit() else found[2]} if found else row
