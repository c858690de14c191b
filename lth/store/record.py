"""Which trainings a job consists of, and how it ended. A job is one replicate of one configuration of an experiment."""

import logging
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
    """The content of every whole record under root, by name; damaged ones are named and left out."""
    for file in sorted((root / "experiments").glob("*/*.json")):
        try:
            yield read_json(file)
        except Corrupt as damage:
            log.warning("%s; run its experiment again to gather its rows anew", damage)
