"""Records: the trainings of one replicate of one configuration, and their status. Imports no PyTorch."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lth import UserError
from lth.store.file import (
    FORMAT,
    Corrupt,
    Missing,
    Newer,
    check_format,
    check_types,
    read_json,
    write_json,
)
from lth.store.legacy import upgraded
from lth.store.locks import locked
from lth.store.names import check_name, experiment_folder, name_of
from lth.store.running import begin, end, is_held, keep
from lth.store.stale import ADDED, BRANCH_CODE, beside, branches_changed, changed, latest_sources, with_calls

log = logging.getLogger("lth")
LEASE = ".lease"  # the end of the name of the lease of a record
# Column of a branch with other steps than the line beside it: those that it has; `steps` has the line's.
OWN_STEPS = "branch_steps"
WAITING, RUNNING = "waiting", {"status": "running", "error": ""}


@dataclass(frozen=True)
class Record:
    """File root/experiments/<experiment>/<job>.json; several processes may add to the same one.

    columns: shared by all rows of the job, such as {"model": "lenet_300_100", "replicate": 1}. code: "science", the
    same for all versions of the user's functions, and "sources", function -> file -> digest of its code. planned:
    number of trainings, and their mean number of steps. overrides: of the `lth run` that made the job, if any. wait:
    called again and again while another process writes the file. From the status "running" until the next one, this
    process holds the lease of the job.
    """

    root: Path
    experiment: str
    job: str
    columns: Mapping[str, Any]
    code: Mapping[str, Any] = field(default_factory=dict)
    planned: Mapping[str, int] = field(default_factory=dict)
    overrides: Sequence[str] | None = None
    wait: Callable[[], None] = field(default=lambda: None, compare=False)

    def __post_init__(self) -> None:
        check_name(self.experiment)

    def add(self, row: Mapping[str, Any]) -> None:
        """Add the row of a trained ticket: branch, draw, level, digest and further columns of the table. It takes the
        place of one without the settings of its branch that an older version wrote of the same training. Rows of the
        same branch that are of other code are stale.
        """
        branch = "-".join(str(row[key]) for key in ("branch", "bits") if key in row)
        place = f"{branch}/{row['draw']}/{row['level']}"
        own = "/".join([place, *([row["branch_settings"]] if "branch_settings" in row else [])])

        def add(old: Mapping[str, Any]) -> dict[str, Any]:
            older = {place} if own != place and old["rows"].get(place, {}).get("digest") == row["digest"] else set()
            stamp = {ADDED: datetime.now(UTC).isoformat(timespec="microseconds")} if BRANCH_CODE in row else {}
            rows = beside({key: each for key, each in old["rows"].items() if key not in older}, own, {**row, **stamp})
            return {"rows": rows, **({} if old["status"] != WAITING else RUNNING)}

        self._write(add)

    def status(self, status: str, error: str = "") -> None:
        """Write the status: running, finished, interrupted, failed or, of a job that was put off, waiting. The last
        three are not written if another process runs the job or has finished it.
        """
        begin(self.file)
        theirs = {"finished"} if is_held(self.file) else {"finished", "running"}
        new = {"status": status, "error": error}
        self._write(lambda old: {} if status not in ("running", "finished") and old["status"] in theirs else new)
        if status != "running":
            end(self.file)

    def changes(self) -> list[str]:
        """Differences of the user's code from the latest that other records of the experiment have, such as
        "mine.smallest changed in mine.py"; if this record exists, those of branches from its rows.
        """
        if self.file.exists():
            return branches_changed(self._old()["rows"], self.code.get("branches", {}))
        if not (now := self.code.get("sources")):
            return []
        return changed(latest_sources(records(self.root, self.experiment)), now)

    @property
    def file(self) -> Path:
        """Path of the record."""
        return experiment_folder(self.root, self.experiment) / f"{self.job}.json"

    def _write(self, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        with locked(self.file.with_suffix(LEASE), self.wait):
            old = self._old()
            name = {"format": FORMAT, "experiment": self.experiment, "job": self.job}
            code = with_calls(self.code, old.get("code", {}))
            facts = {"columns": dict(self.columns), "code": code, "planned": dict(self.planned)}
            made = {} if self.overrides is None else {"overrides": [*self.overrides]}
            new = {**old, **name, **facts, **made, **change(old)}
            if new["status"] == "running":
                keep(self.file)
            if new != old:
                write_json(self.file, {**new, "updated": datetime.now(UTC).isoformat(timespec="microseconds")})
            if new["status"] != "running":
                end(self.file)

    def _old(self) -> dict[str, Any]:
        """Content of the file so far; nothing if it is absent or, after a warning, corrupt. Raises UserError."""
        try:
            return read_record(self.file)
        except Missing:
            pass
        except Newer as error:
            raise UserError(str(error), code=1) from error
        except Corrupt as error:
            log.warning("%s; it is rebuilt from this run", error)
        return {"rows": {}, "status": "running", "error": ""}


def is_record(file: Path) -> bool:
    """True if this file of an experiment is a record; what begins with a dot, such as its precision, is none."""
    return file.suffix == ".json" and not file.name.startswith(".")


def record_files(root: Path, experiment: str | None = None) -> Iterator[Path]:
    """Files of all records under root, or of one experiment, sorted; see `listed` for folders that can't be read."""
    folders = listed(root / "experiments") if experiment is None else [experiment_folder(root, experiment)]
    return (file for folder in folders for file in listed(folder) if is_record(file))


def records(root: Path, experiment: str | None = None) -> Iterator[dict[str, Any]]:
    """Content of every record under root, or of one experiment, ordered by file name; corrupt ones are skipped with a
    warning. Changes nothing.
    """
    for file in record_files(root, experiment):
        try:
            yield content(file)
        except Newer as error:
            log.warning("%s", error)
        except Corrupt as error:
            log.warning("%s; rerun its experiment to rebuild it", error)


def has_records(root: Path, experiment: str) -> bool:
    """True if a job of an experiment has a record, whether it can be read or not."""
    return any(record_files(root, experiment))


def no_results(root: Path, experiment: str = "") -> str:
    """The message for a store without readable results, or for an experiment in it that has records alone."""
    if experiment:
        remedy = "lth status shows its jobs; run again the command that trains it"
        return f"{experiment} has no result under {root}, or none that can be read: {remedy}"
    if any(record_files(root)):
        return f"{root} has no result that can be read; lth status shows its jobs"
    return f"nothing is stored under {root}; lth run trains, --runs names another folder"


def content(file: Path) -> dict[str, Any]:
    """A record with the current column names, whichever version wrote it; raises Corrupt."""
    return upgraded(read_record(file))


def read_record(file: Path) -> dict[str, Any]:
    """A record as it was written; raises Corrupt, also if it is that of another experiment or job."""
    record = read_json(file)
    check_format(file, record.get("format"))
    record = {"status": "running", "error": "", "code": {}, **record}  # version 0.1 had no code
    check_types(file, record, {"experiment": str, "columns": dict, "rows": dict, "status": str, "code": dict})
    wanted = {"experiment": name_of(file.parent), "job": file.stem}
    if found := {key: record[key] for key in wanted if key in record and record[key] != wanted[key]}:
        raise Corrupt(f"{file} is in the wrong place: its {' and '.join(f'{k} is {v}' for k, v in found.items())}")
    for cells in (record["columns"], *record["rows"].values()):
        if not isinstance(cells, dict) or any(isinstance(cell, list | dict) for cell in cells.values()):
            raise Corrupt(f"{file} is corrupt: it has a row {str(cells)[:40]!r}")
    for row in record["rows"].values():
        check_types(file, row, {"branch": str})
    words = record.get("overrides", [])
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise Corrupt(f"{file} is corrupt: its overrides are {str(words)[:40]!r}")
    return record


def listed(folder: Path) -> list[Path]:
    """Content of a folder, sorted; nothing if there is no such folder or, after a warning, if it can't be read."""
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        log.warning("%s can't be read: %s", folder, error.strerror)
        return []
