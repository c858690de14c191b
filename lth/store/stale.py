"""Results of code that has changed since: older records of the same science. Imports no PyTorch."""

from collections.abc import Iterable, Mapping
from typing import Any

Sources = Mapping[str, Mapping[str, str]]


def stale(records: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], str]:
    """(experiment, job) of each record whose code is not that of the latest record of the same experiment and science,
    with what changed since, such as "mine.smallest changed in mine.py".
    """
    latest: dict[tuple[str, str], Mapping[str, Any]] = {}
    # A record without rows is of a job that failed, or has only begun: nothing takes the place of older results yet.
    own = [record for record in records if record["code"].get("sources") and "job" in record and record["rows"]]
    for record in sorted(own, key=lambda record: str(record.get("updated"))):
        latest[_science(record)] = record
    changes = {(str(r["experiment"]), str(r["job"])): _changes(r, latest[_science(r)]) for r in own}
    return {key: text for key, text in changes.items() if text}


def changed(before: Sources, now: Sources) -> list[str]:
    """The functions whose code differs, with the files that do: "mine.smallest changed in mine.py"."""
    found = {
        function: [file for file in sorted({*files, *before.get(function, {})})
                   if files.get(file) != before.get(function, {}).get(file)]
        for function, files in now.items()
    }  # fmt: skip
    return [f"{function} changed in {', '.join(files)}" for function, files in sorted(found.items()) if files]


def _science(record: Mapping[str, Any]) -> tuple[str, str]:
    return str(record["experiment"]), str(record["code"].get("science"))


def _changes(record: Mapping[str, Any], last: Mapping[str, Any]) -> str:
    return "; ".join(changed(record["code"]["sources"], last["code"]["sources"]))
