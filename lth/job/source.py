"""The trainings that the tickets of another run are pruned from, as parts of the job that takes them."""

from collections.abc import Callable, Collection
from dataclasses import replace

from lth.engine import Forwarding
from lth.job.branch import Place
from lth.job.row import row
from lth.job.start import BRANCH
from lth.job.values import Job
from lth.recipe import Recipe
from lth.schedule import rungs
from lth.store import Store
from lth.store.running import is_held
from lth.ticket import Ticket, Trained


def origin_places(job: Job) -> list[Place]:
    """Places, in the run that a job starts from, of what its tickets are pruned from; none without a start."""
    if job.start is None:
        return []
    levels = sorted(job.ladder.towards(rungs(job.levels)).children)
    return [Place(r, level, BRANCH) for level in levels if level >= job.train_from for r in job.replicates]


def origin(job: Job) -> Job | None:
    """The run that a job starts from, with its replicates, no branches, and no more levels than are needed."""
    if job.start is None or not (needed := origin_places(job)):
        return None
    levels = max(place.level for place in needed) if isinstance(job.start.levels, int) else job.start.levels
    return replace(job.start, replicates=job.replicates, branches={}, levels=levels)


class Source:
    """Trains tickets of another run as that run would, and records them there; its status is written if anything is
    trained, or if it has no record. levels: all that are to be trained. finished: called with each training, under the
    name of BRANCH.
    """

    def __init__(self, job: Job, store: Store, levels: Collection[int], finished: Callable[[Trained], None]) -> None:
        self.job, self.store, self.levels, self.finished = job, store, {*levels}, finished
        self.records = {replicate: job.record(store, replicate) for replicate in job.replicates}
        self.new = {replicate for replicate, record in self.records.items() if not record.file.exists()}
        self.begun, self.failed = set[int](), set[int]()
        self.done: list[Trained] = []

    def train(self, train: Callable[..., list[Trained]], tickets: list[Ticket], recipe: Recipe) -> list[Trained]:
        """Train these tickets, or read them. train: as for `Store.cached`."""

        def begin(tickets: list[Ticket], **given: object) -> list[Trained]:
            self._begin({ticket.replicate for ticket in tickets})
            return train(tickets, **given)

        trained = self.store.cached(begin, recipe, self._add, self._facts)(tickets)
        self.failed |= {t.replicate for t in tickets} - {each.ticket.replicate for each in trained}
        return trained

    def end(self, status: str) -> None:
        """Write the status of what was begun, unless another process runs it too: "finished" if no training is missing,
        failed if one diverged, else `status`.
        """
        for replicate in sorted(self.begun):
            whole = self.levels == {t.ticket.level for t in self.done if t.ticket.replicate == replicate}
            diverged = replicate in self.failed
            how = ("failed", "a training diverged") if diverged else ("finished" if whole else status, "")
            if is_held(self.records[replicate].file):
                self.records[replicate].status(*how)

    def _begin(self, replicates: set[int]) -> None:
        for replicate in replicates - self.begun:
            self.records[replicate].status("running")
        self.begun |= replicates

    def _add(self, trained: Trained) -> None:
        replicate = trained.ticket.replicate
        if replicate in self.new:
            self._begin({replicate})
        if replicate in self.begun:
            self.records[replicate].add(row(self.job, self.job.recipe, trained))
        self.finished(replace(trained, ticket=replace(trained.ticket, branch=BRANCH)))
        self.done.append(trained)

    def _facts(self, ticket: Ticket) -> dict[str, str]:
        return {"experiment": self.job.name, "job": self.records[ticket.replicate].job}


class Renamed(Forwarding):
    """Forward every call, with tickets as of BRANCH, to tell them from those of the job."""

    def told(self, ticket: Ticket) -> Ticket:
        return replace(ticket, branch=BRANCH)
