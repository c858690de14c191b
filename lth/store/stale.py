"""Results of code that has changed since: records, and rows of branches, of an experiment in which the same function
has other code in newer ones. Rows of branches name their own code, since a job is the same whichever branches it has.
Imports no PyTorch.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

# Cells of a row of a branch that are in no table: its code, and when the row was added.
BRANCH_CODE, ADDED = "branch_code", "added"
SETTINGS = "branch_settings"
RETURNED = "what it returns"  # in the place of a file: of a function of the user's that gives a data set
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


def with_calls(code: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """The code of a record, with the data functions that it named before: several calls may give its data set."""
    calls = {call: files for call, files in before.get("sources", {}).items() if RETURNED in files}
    return {**code, "sources": {**calls, **code.get("sources", {})}}


def beside(rows: Rows, place: str, new: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The rows of a record with a new one, which may make those of its branch stale (see `mark_branches`). A training
    that stood in its place stands behind it.
    """
    code, there = new.get(BRANCH_CODE), rows.get(place, {})
    before = there.get(BRANCH_CODE) if there.get("digest") != new.get("digest") else None
    moved = {f"{place}/{before}": there} if code and before and before != code else {}
    others = {key: each for key, each in {**rows, **moved}.items() if key not in (place, f"{place}/{code}")}
    # The new one last: it is the newest also beside rows of versions that noted no time.
    record: dict[str, Any] = {"experiment": "", "code": {}, "rows": {**others, place: dict(new)}}
    mark_branches([record])
    order = dict.fromkeys([*rows, *moved, place])
    return {key: record["rows"][key] for key in order if key in record["rows"]}


def mark_branches(records: Sequence[Mapping[str, Any]]) -> None:
    """Mark rows of branches as stale, in place. Fresh are those
    - whose transform is that of the row of the same experiment, science and branch that was added last;
    - of whose functions of the user's own none was replaced by another since, with the same settings of the branch;
    - each of whose functions has the code of the last row of the experiment that depends on it.
    """
    transforms: dict[tuple[str, ...], str] = {}
    functions: dict[tuple[str, ...], Collection[str]] = {}
    latest: dict[tuple[str, str], str] = {}
    own = [(record, key, row) for record in records for key, row in record["rows"].items() if BRANCH_CODE in row]
    for record, _, row in sorted(own, key=lambda each: (_added(each[2]), str(each[0].get("updated")))):
        branch, settings = _places(record, row)
        transforms[branch], digests = _parts(row[BRANCH_CODE])
        functions[settings] = digests or functions.get(settings, ())
        latest |= {(record["experiment"], name): digest for name, digest in digests.items()}
    for record, key, row in own:
        branch, settings = _places(record, row)
        now = {name: latest[record["experiment"], name] for name in _parts(row[BRANCH_CODE])[1]}
        reason = _reason(row, transforms[branch], now, functions[settings])
        fresh = {name: value for name, value in row.items() if name != "stale"}
        record["rows"][key] = {**fresh, "stale": reason} if reason else fresh


def _places(record: Mapping[str, Any], row: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of a branch, and of a branch with its settings."""
    branch = str(record["experiment"]), str(record["code"].get("science")), str(row["branch"])
    return branch, (*branch, str(row.get(SETTINGS, "")))


def _parts(code: str) -> tuple[str, dict[str, str]]:
    """The transform of a branch, and the digest of each function of the user's own."""
    name, *parts = code.split(":")
    return name, {of or name: digest for of, _, digest in (part.rpartition("=") for part in parts)}


def _reason(row: Mapping[str, Any], transform: str, digests: Mapping[str, str], functions: Collection[str]) -> str:
    """The reason for which the row of a branch is stale, if it is. transform, functions: of its branch now. digests:
    function -> its latest digest.
    """
    name, own = _parts(row[BRANCH_CODE])
    if name != transform:
        return f"{row['branch']} was {name}"
    if (gone := own.keys() - {*functions}) and {*functions} - own.keys():
        return f"{row['branch']} depended on {', '.join(sorted(gone))}"
    edited = sorted(function for function in own if own[function] != digests.get(function, own[function]))
    return f"{', '.join(edited)} changed" if edited else ""


def branches_changed(rows: Rows, codes: Mapping[str, str]) -> list[str]:
    """Changes of branches, to their code now, by which rows become stale that are not yet: "mine.noisy changed"."""
    own = [row for row in rows.values() if BRANCH_CODE in row and "stale" not in row and row["branch"] in codes]
    reasons = (_reason(row, *_parts(codes[row["branch"]]), ()) for row in own)
    return sorted({*filter(None, reasons)})


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


def _added(row: Mapping[str, Any]) -> str:
    return str(row.get(ADDED, ""))
