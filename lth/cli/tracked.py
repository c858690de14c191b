"""The run of any tracker: its id, name and tags, its points over sparsity, its summary and its table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lth.cli.override import PLACES, key_of
from lth.job import Job
from lth.store.digest import short
from lth.store.table import row
from lth.ticket import Ticket, Trained

LONGEST_NAME, LONGEST_TAG = 128, 64  # characters that trackers take
Values = dict[str, Any]


def run_id(job: Job, root: Path, swept: Sequence[str] = ()) -> str:
    """The same for every start of a job in a store, so that it is one run however often it is stopped and resumed, and
    asked for more levels or branches; another for any other job of the store. swept: what tells a job of a sweep apart,
    its branches too.
    """
    added = sorted(word for word in swept if word.lstrip("+~").startswith(("branch", "quantization", "stop")))
    return short([str(root.resolve()), job.name, job.identity, list(job.replicates), *added])


def told_apart(overrides: Sequence[str], swept: Sequence[str]) -> list[str]:
    """The overrides of a job whose keys are swept; of a single job those that decide its result."""
    keys = {override: key_of(override) for override in overrides}
    if swept:
        return [override for override in overrides if keys[override] in swept]
    return [override for override in overrides if not keys[override].startswith(PLACES)]


def beside_replicate(words: Sequence[str]) -> list[str]:
    """These overrides without that of the replicate, which is named in another way."""
    return [word for word in words if not word.startswith("replicate=")]


def title(job: Job, words: Sequence[str]) -> str:
    """The name of a run: experiment, replicates and these overrides."""
    name = f"{job.name}-{','.join(map(str, job.replicates))}"
    return _clipped(" ".join([name, *beside_replicate(words)]), LONGEST_NAME)


def tags(words: Sequence[str]) -> list[str]:
    """Overrides as tags, each once."""
    return list(dict.fromkeys(_clipped(word, LONGEST_TAG) for word in words))


def line(ticket: Ticket) -> str:
    """Name of the line of tickets that this one is part of: ticket, aware_3bits, aware_fp16, shuffle_draw1."""
    bits = "" if ticket.bits is None else f"_{ticket.bits}" if isinstance(ticket.bits, str) else f"_{ticket.bits}bits"
    return f"{ticket.branch}{bits}{f'_draw{ticket.draw}' if ticket.draw else ''}"


@dataclass(frozen=True)
class Outcome:
    """The trained tickets of a job with this number of replicates, as they come."""

    replicates: int = 1
    rows: list[tuple[str, Values]] = field(default_factory=list)  # line, row of the table

    def add(self, trained: Trained) -> list[Values]:
        """Add a ticket; returns its points of the curves over sparsity. A job with several replicates has a line for
        each of them, and, once the last of a level is there, a point of their mean, under the same name as that of a
        job with one replicate.
        """
        name, ticket = line(trained.ticket), trained.ticket
        facts = {"replicate": ticket.replicate, "digest": trained.facts.get("digest")}
        self.rows.append((name, {**facts, **row(trained), "bits": None if ticket.bits is None else str(ticket.bits)}))
        if self.replicates == 1:
            return [self._point(name, self.rows[-1:])]
        beside = self._of(name, ticket.level)
        own = self._point(f"replicate_{ticket.replicate}/{name}", self.rows[-1:])
        return [own, self._point(name, beside)] if len(beside) == self.replicates else [own]

    @property
    def summary(self) -> Values:
        """Level, sparsity and results of the sparsest level of the tickets, mean over the n replicates that reached it,
        beside the dense net's; empty if there is no ticket.
        """
        levels = [values["level"] for name, values in self.rows if name == "ticket"]
        if not levels:
            return {}
        reached, dense = self._of("ticket", max(levels)), self._of("ticket", 0)
        return {
            **_place(reached), "n": len(reached), **_results(reached),
            **{f"dense/{name}": value for name, value in _results(dense).items()},
        }  # fmt: skip

    @property
    def table(self) -> tuple[list[str], list[list[Any]]]:
        """Columns and rows, one for each trained ticket."""
        columns = list(dict.fromkeys(column for _, values in self.rows for column in values))
        return columns, [[values.get(column) for column in columns] for _, values in self.rows]

    def _of(self, name: str, level: int) -> list[tuple[str, Values]]:
        return [each for each in self.rows if each[0] == name and each[1]["level"] == level]

    def _point(self, name: str, rows: Sequence[tuple[str, Values]]) -> Values:
        return {**_place(rows), **{f"result/{name}/{key}": value for key, value in _results(rows).items()}}


def _place(rows: Sequence[tuple[str, Values]]) -> Values:
    """The x axes: level, density (share of weights that remain), sparsity (percent pruned away)."""
    share = _mean(rows, "density")
    return {"level": rows[0][1]["level"], "density": share, "sparsity": 100 * (1 - share)}


def _results(rows: Sequence[tuple[str, Values]]) -> Values:
    """Early-stop step and test metrics, mean over the rows."""
    keys = [key for key in rows[0][1] if key.startswith(("early_stop_", "final_test_"))] if rows else []
    return {key: _mean(rows, key) for key in keys if "_val_" not in key}


def _mean(rows: Sequence[tuple[str, Mapping[str, Any]]], key: str) -> Any:
    values = [values[key] for _, values in rows]
    return values[0] if len(values) == 1 else sum(values) / len(values)


def _clipped(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 3]}..."
