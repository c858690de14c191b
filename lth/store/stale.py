"""Results of code that has changed since: records, and rows of branches, of an experiment in which the same function
has other code in newer ones. Rows of branches name their own code, since a job is the same whichever branches it has.
Imports no PyTorch.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

# Cells of a row of a branch that are in no table: its code, and when the row was added.
BRANCH_CODE, ADDED = "branch_code", "added"
SETTINGS = "branch_settings"
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
    return {key: _marked(each, new) for key, each in others.items()} | {place: dict(new)}


def mark_branches(records: Sequence[Mapping[str, Any]]) -> None:
    """Mark rows of branches as stale, in place, unless their transform is that of the row that was added last of the
    same experiment, science and branch; no function of the user's own took the place of another since, with the same
    settings of the branch; and each has the code of the last row of the experiment that depends on it.
    """
    last: dict[tuple[str, ...], str] = {}
    latest: dict[tuple[str, str], str] = {}
    own = [(record, key, row) for record in records for key, row in record["rows"].items() if BRANCH_CODE in row]
    for record, _, row in sorted(own, key=lambda each: (_added(each[2]), str(each[0].get("updated")))):
        for place in _places(record, row):
            last[place] = row[BRANCH_CODE]
        latest |= {(record["experiment"], name): digest for name, digest in _parts(row[BRANCH_CODE])[1].items()}
    for record, key, row in own:
        transform, functions = (_parts(last[place])[part] for part, place in enumerate(_places(record, row)))
        now = {name: latest[record["experiment"], name] for name in _parts(row[BRANCH_CODE])[1]}
        record["rows"][key] = _judged(row, str(transform), now, functions)


def _places(record: Mapping[str, Any], row: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of a branch, and of a branch with its settings."""
    branch = str(record["experiment"]), str(record["code"].get("science")), str(row["branch"])
    return branch, (*branch, str(row.get(SETTINGS, "")))


def _parts(code: str) -> tuple[str, dict[str, str]]:
    """The transform of a branch, and the digest of each function of the user's own."""
    name, *parts = code.split(":")
    return name, {of or name: digest for of, _, digest in (part.rpartition("=") for part in parts)}


def _judged(
    row: Mapping[str, Any], transform: str, digests: Mapping[str, str], functions: Collection[str]
) -> dict[str, Any]:
    """The row of a branch, stale if its code is another. transform, functions: of its branch now; digests: of the
    functions by now.
    """
    fresh = {key: value for key, value in row.items() if key != "stale"}
    reason = _reason(row, transform, digests, functions)
    return {**fresh, "stale": reason} if reason else fresh


def _reason(row: Mapping[str, Any], transform: str, digests: Mapping[str, str], functions: Collection[str]) -> str:
    name, own = _parts(row[BRANCH_CODE])
    if name != transform:
        return f"{row['branch']} was {name}"
    if (gone := own.keys() - {*functions}) and not own.keys() >= {*functions}:
        return f"{row['branch']} depended on {', '.join(sorted(gone))}"
    edited = sorted(function for function in own if own[function] != digests.get(function, own[function]))
    return f"{', '.join(edited)} changed" if edited else ""


def branches_changed(rows: Rows, codes: Mapping[str, str]) -> list[str]:
    """Changes of branches, to their code now, by which rows become stale that are not yet: "mine.noisy changed". Their
    settings now are not known, so of rows that have some only edits and another transform count.
    """
    fresh = [row for row in rows.values() if "stale" not in row]
    found = [_marked(row, {**row, BRANCH_CODE: codes.get(row["branch"]), SETTINGS: None}) for row in fresh]
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


def is_dated(row: Mapping[str, Any], beside: Rows) -> bool:
    """True for a row of a branch whose code is the user's own, or was in a row beside it, so that it notes when it was
    added.
    """
    code = row.get(BRANCH_CODE, "")
    return ":" in code or any(
        each["branch"] == row["branch"] and each.get(BRANCH_CODE, code) != code for each in beside.values()
    )


def _added(row: Mapping[str, Any]) -> str:
    return str(row.get(ADDED, ""))


def _marked(row: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The row; if it is of the branch of a new one, stale if its code is another."""
    if row["branch"] != new["branch"] or not row.get(BRANCH_CODE) or not new.get(BRANCH_CODE):
        return dict(row)
    transform, digests = _parts(new[BRANCH_CODE])
    same = row.get(SETTINGS) == new.get(SETTINGS)
    return _judged(row, transform, digests, digests if same else ())
