"""State of every job in a store, from its record and its leases, as any node that sees the folder can tell.

    done, failed, stopped   by the record
    running                 a lease of the job, or of a training that it does, lives
    waiting                 it lives, and needs what another process trains; or it was put off for that
    dead                    the record says running, and no lease lives

Changes nothing. Imports no PyTorch.
"""

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lth.store.file import Corrupt
from lth.store.labels import told_apart
from lth.store.locks import TRAINING_LEASE
from lth.store.record import record_files
from lth.store.running import lease_of
from lth.store.stale import count_fresh
from lth.store.watch import Seen, Watch

STATES = ("running", "waiting", "dead", "failed", "stopped", "done")
ENDED = {"finished": "done", "failed": "failed", "interrupted": "stopped", "waiting": "waiting"}


@dataclass(frozen=True)
class JobStatus:
    """State of a job. words: what tells it apart within its experiment. trainings: those that are done, of `planned` (0
    if an older version wrote the record). error: of a failed one. host, pid, since: where it runs, or ran. ticket,
    step, steps: of the training that is furthest. left: seconds, about. silent: seconds without a sign of life.
    saved: seconds since the state of a training of a dead job was saved.
    """

    experiment: str
    job: str
    state: str
    words: str
    trainings: int
    planned: int = 0
    error: str = ""
    host: str = ""
    pid: int | None = None
    since: str = ""
    ticket: str = ""
    step: int | None = None
    steps: int | None = None
    left: float | None = None
    silent: float | None = None
    saved: float | None = None


def status(root: Path, watch: Watch | None = None) -> tuple[list[JobStatus], list[str]]:
    """All jobs of a store by experiment, state and words; and a sentence for each record that can't be read."""
    watch = watch or Watch()
    found, problems = _records(root, watch)
    trainings = _trainings(root, found.values(), watch)
    experiments = defaultdict[str, list[Path]](list)
    for file, record in found.items():
        experiments[record["experiment"]].append(file)
    jobs = [
        (key, _status(file, found[file], words, trainings[experiment, file.stem], watch))
        for experiment, files in experiments.items()
        for file, (words, key) in zip(files, told_apart([found[file] for file in files]), strict=True)
    ]
    jobs.sort(key=lambda pair: (pair[1].experiment, STATES.index(pair[1].state), pair[0]))
    return [job for _, job in jobs], problems


def _records(root: Path, watch: Watch) -> tuple[dict[Path, dict[str, Any]], list[str]]:
    found, problems = dict[Path, dict[str, Any]](), list[str]()
    for file in record_files(root):
        try:
            found[file] = watch.record(file)
        except Corrupt as error:
            problems += [str(error)] if file.exists() else []
    return found, problems


def _trainings(
    root: Path, records: Iterable[Mapping[str, Any]], watch: Watch
) -> "defaultdict[tuple[str, str], list[Seen]]":
    """(experiment, job) -> leases of its trainings. No record names a training that has not ended."""
    named = {str(row.get("digest")) for record in records for row in record["rows"].values()}
    found = defaultdict[tuple[str, str], list[Seen]](list)
    for name in _names(root / "trained"):
        if name not in named and (seen := watch.lease(root / "trained" / name / TRAINING_LEASE)):
            found[str(seen.held.facts.get("experiment")), str(seen.held.facts.get("job"))].append(seen)
    return found


def _status(file: Path, record: Mapping[str, Any], words: str, trainings: Sequence[Seen], watch: Watch) -> JobStatus:
    own = watch.lease(lease_of(file))
    if record["status"] == "running" and not (own and own.alive):
        with suppress(Corrupt):
            record = watch.record(file)  # it may have ended between the two looks
    leases = [*([own] if own else []), *trainings]
    state = _state(record, leases)
    facts: dict[str, Any] = {
        "experiment": str(record["experiment"]), "job": file.stem, "state": state, "words": words,
        "trainings": count_fresh(record["rows"]), "planned": _planned(record, "trainings"),
    }  # fmt: skip
    if state in ("done", "failed", "stopped"):
        return JobStatus(**facts, error=str(record.get("error") or ""))
    alive = [seen for seen in leases if seen.alive]
    facts["silent"] = min((seen.silent for seen in alive or leases), default=None)
    for seen in (alive or leases)[:1]:
        facts |= {"host": seen.held.host, "pid": seen.held.pid, "since": seen.held.since}
    if state == "dead":
        return JobStatus(**facts, **_furthest(trainings), saved=_saved(trainings, watch))
    return JobStatus(**facts, **_furthest([t for t in trainings if t.alive]), left=_left(record, trainings))


def _state(record: Mapping[str, Any], leases: Sequence[Seen]) -> str:
    """One of STATES."""
    written = str(record["status"])
    alive = [seen for seen in leases if seen.alive]
    if written in ENDED and not (written == "waiting" and alive):
        return ENDED[written]
    waits = any(seen.held.facts.get("waits_for") for seen in alive)
    return "dead" if not alive else "waiting" if waits else "running"


def _furthest(trainings: Sequence[Seen]) -> dict[str, Any]:
    """Ticket, step and steps of the training that is furthest; nothing if none has begun."""
    begun = [seen.held.facts for seen in trainings if _whole(seen.held.facts.get("step"))]
    if not begun:
        return {}
    facts = max(begun, key=lambda facts: int(facts["step"]))
    return {"ticket": str(facts.get("ticket", "")), "step": facts["step"], "steps": _whole(facts.get("steps"))}


def _left(record: Mapping[str, Any], trainings: Sequence[Seen]) -> float | None:
    """Seconds left at the speed of the trainings that run now, if all that was planned is trained."""
    running = [seen.held.facts for seen in trainings if seen.alive and _number(seen.held.facts.get("seconds"))]
    speed = sum(_number(facts.get("taken")) / _number(facts["seconds"]) for facts in running)
    if not speed:
        return None
    steps = _planned(record, "steps")
    waiting = max(0, _planned(record, "trainings") - count_fresh(record["rows"]) - len(running))
    own = sum(max(0, _number(facts.get("steps")) - _number(facts.get("step"))) for facts in running)
    return (waiting * steps + own) / speed


def _saved(trainings: Sequence[Seen], watch: Watch) -> float | None:
    """Seconds since the state of one of these trainings was saved; None if none is."""
    ages = [watch.since(file) for seen in trainings for file in seen.path.parent.glob("partial*.safetensors")]
    return min((age for age in ages if age is not None), default=None)


def _planned(record: Mapping[str, Any], key: str) -> int:
    planned = record.get("planned")
    return int(_number(planned.get(key))) if isinstance(planned, dict) else 0


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _number(value: Any) -> float:
    """A number of another process; 0 for anything else."""
    return float(value) if isinstance(value, int | float) and 0 <= value < 1e15 else 0.0


def _names(folder: Path) -> Iterator[str]:
    with suppress(OSError), os.scandir(folder) as entries:
        yield from sorted(entry.name for entry in entries if not entry.name.startswith("."))
