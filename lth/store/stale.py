"""Results of code that has changed since: records, and rows of branches, of an experiment in which the same function
has other code in newer ones. Rows of branches name their own code, since a job is the same whichever branches it has.
Imports no PyTorch.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

# Cells of a row of a branch that are in no table: its code, and when the row was added.
BRANCH_CODE, ADDED = "branch_code", "added"
Sources = Mapping[str, Mapping[str, str]]
Rows = Mapping[str, Mapping[str, Any]]


def stale(records: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], str]:
    """(experiment, job) of each record with a function whose code is another in a later record of the experiment, with
    what changed since, such as "mine.smallest changed in mine.py".
    """
    own = [record for record in records if record["code"].get("sources") and "job" in record and record["rows"]]
    latest = {
        name: latest_sources(r for r in own if r["experiment"] == name) for name in {r["experiment"] for r in own}
    }
    changes = {
        (str(r["experiment"]), str(r["job"])): changed(r["code"]["sources"], latest[r["experiment"]]) for r in own
    }
    return {key: "; ".join(found) for key, found in changes.items() if found}


def latest_sources(records: Iterable[Mapping[str, Any]]) -> dict[str, Mapping[str, str]]:
    """Function -> its files, from the record of an experiment that has it and was written last. One without rows is of
    a job that failed, or has only begun: nothing takes the place of older results yet.
    """
    found: dict[str, Mapping[str, str]] = {}
    for record in sorted(records, key=lambda record: str(record.get("updated"))):
        found |= record["code"].get("sources", {}) if record["rows"] else {}
    return found


def changed(before: Sources, now: Sources) -> list[str]:
    """The functions of both whose code differs, with the files that do: "mine.smallest changed in mine.py"."""
    found = {
        function: [file for file in sorted({*files, *now[function]}) if files.get(file) != now[function].get(file)]
        for function, files in before.items()
        if function in now
    }
    return [f"{function} changed in {', '.join(files)}" for function, files in sorted(found.items()) if files]


def _science(record: Mapping[str, Any]) -> tuple[str, str]:
    return str(record["experiment"]), str(record["code"].get("science"))


def beside(rows: Rows, place: str, new: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The rows of a record with a new one, which makes those of its branch stale that are of other code. A training
    that stood in its place stands behind it.
    """
    code, there = new.get(BRANCH_CODE), rows.get(place, {})
    before = there.get(BRANCH_CODE) if there.get("digest") != new.get("digest") else None
    moved = {f"{place}/{before}": there} if code and before and before != code else {}
    others = {key: each for key, each in {**rows, **moved}.items() if key != f"{place}/{code}"}
    return {key: _marked(each, new["branch"], code) for key, each in others.items()} | {place: dict(new)}


def mark_branches(records: Sequence[Mapping[str, Any]]) -> None:
    """Mark rows of branches as stale, in place, unless their transform is that of the row that was added last of the
    same experiment, science and branch, with the same functions of the user's own, each with the code of the last row
    of the experiment that depends on it.
    """
    last: dict[tuple[str, str, str], str] = {}
    latest: dict[tuple[str, str], str] = {}
    own = [(record, key, row) for record in records for key, row in record["rows"].items() if BRANCH_CODE in row]
    for record, _, row in sorted(own, key=lambda each: (_added(each[2]), str(each[0].get("updated")))):
        last[*_science(record), row["branch"]] = row[BRANCH_CODE]
        digests = _parts(row[BRANCH_CODE])[1]
        latest |= {(record["experiment"], function): digest for function, digest in digests.items()}
    for record, key, row in own:
        name, digests = _parts(last[*_science(record), row["branch"]])
        now = {function: latest[record["experiment"], function] for function in digests}
        record["rows"][key] = _judged(row, name, now)


def _parts(code: str) -> tuple[str, dict[str, str]]:
    """The transform of a branch, and the digest of each function of the user's own."""
    name, *parts = code.split(":")
    return name, {of or name: digest for of, _, digest in (part.rpartition("=") for part in parts)}


def _judged(row: Mapping[str, Any], transform: str, digests: Mapping[str, str]) -> dict[str, Any]:
    """The row of a branch, stale if its code is another. transform, digests: of its branch now."""
    fresh, reason = {key: value for key, value in row.items() if key != "stale"}, _reason(row, transform, digests)
    return {**fresh, "stale": reason} if reason else fresh


def _reason(row: Mapping[str, Any], transform: str, digests: Mapping[str, str]) -> str:
    name, own = _parts(row[BRANCH_CODE])
    if name != transform:
        return f"{row['branch']} was {name}"
    if own.keys() != digests.keys():
        return f"{row['branch']} depended on {', '.join(sorted(own)) or 'functions of lth only'}"
    edited = sorted(function for function in own if own[function] != digests[function])
    return f"{', '.join(edited)} changed" if edited else ""


def branches_changed(rows: Rows, codes: Mapping[str, str]) -> list[str]:
    """Changes of branches, to their code now, by which rows become stale that are not yet: "mine.noisy changed"."""
    found = [_marked(row, row["branch"], codes.get(row["branch"])) for row in rows.values() if "stale" not in row]
    return sorted({row["stale"] for row in found if "stale" in row})


def merged(rows: Rows, more: Rows) -> dict[str, Mapping[str, Any]]:
    """The rows of two records of one job. Where both have one, that of the second stands; of a branch with two codes
    that which was added last, with the other behind it.
    """
    both = {**rows, **more}
    for place in rows.keys() & more.keys():
        older, newer = sorted((rows[place], more[place]), key=_added)
        if BRANCH_CODE in older and older[BRANCH_CODE] != newer.get(BRANCH_CODE):
            both |= {place: newer, f"{place}/{older[BRANCH_CODE]}": older}
    return both


def count_fresh(rows: Rows) -> int:
    """The number of rows that are not stale."""
    return sum("stale" not in row for row in rows.values())


def is_own(row: Mapping[str, Any]) -> bool:
    """True for a row of a user's own branch, whose code may change, so that the row notes when it was added."""
    return ":" in row.get(BRANCH_CODE, "")


def _added(row: Mapping[str, Any]) -> str:
    return str(row.get(ADDED, ""))


def _marked(row: Mapping[str, Any], branch: str, code: str | None) -> dict[str, Any]:
    """The row; if it is of this branch, stale if its code is another."""
    if row["branch"] != branch or not row.get(BRANCH_CODE) or not code:
        return dict(row)
    return _judged(row, *_parts(code))
