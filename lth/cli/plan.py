"""`lth run plan=true`: what a job would train, and what is stored."""

import math
from collections.abc import Sequence

from lth import job as jobs
from lth.cli.console import console
from lth.job import Job
from lth.job.branch import Place
from lth.job.start import BRANCH
from lth.store import Store
from lth.ticket import Trained


def show(job: Job, store: Store, words: str = "") -> tuple[dict[str, int], list[Trained]]:
    """Print a line per ticket of the job, and how many are stored; trains nothing. words: tell the job of a sweep
    apart. What the run that it starts from trains for it comes first. Returns the trainings, as `lth.job.trainings`
    names them within a store; and what is stored, if nothing is missing.
    """
    console.print(end=f"{words}\n" * bool(words), markup=False)
    run, before = jobs.origin(job), jobs.origin_places(job)
    there = set() if run is None else {jobs.place(t.ticket)._replace(branch=BRANCH) for t in jobs.stored(run, store)}
    found = jobs.stored(job, store)
    stored = there.intersection(before) | {jobs.place(t.ticket) for t in found}
    ended = jobs.ended(job, found)
    places = {
        place: steps
        for place, steps in jobs.planned(job).items()
        if place.level <= ended.get(place.replicate, math.inf)
    }
    named = _named(list(places), several=len(job.replicates) > 1)
    missing = dict.fromkeys(("to train", "to evaluate", "to quantize"), 0)
    for place, steps in places.items():
        what = "to quantize" if place.bits is not None else "to train" if steps else "to evaluate"
        task = f"{what}, {jobs.bound(job, place)}{steps:,} steps" if steps else what
        missing[what] += place not in stored
        console.print(f"{named[place]}  {'stored' if place in stored else task}")
    for sentence in jobs.idle(job):
        console.print(sentence, markup=False)
    most = "at most " * bool(job.stops and missing["to train"])  # a rule may end pruning before
    counts = [f"{most}{count} {what}" for what, count in missing.items() if count or what == "to train"]
    console.print(f"{len(stored)} stored, {', '.join(counts)}; nothing was trained (plan=true)")
    trainings = {f"{store.root}/{name}": steps for name, steps in jobs.trainings(job).items()}
    return trainings, [] if any(missing.values()) else found


def _named(places: Sequence[Place], *, several: bool) -> dict[Place, str]:
    """Each place as a line of columns, without those that are empty everywhere. several: there are more replicates."""
    drawn = {place.branch for place in places if place.draw}
    cells = [
        (
            place.branch,
            f"draw {place.draw}" if place.branch in drawn else "",
            f"bits {place.bits}" if place.bits is not None else "",
            f"replicate {place.replicate}" if several else "",
            f"level {place.level:>2}",
        )
        for place in places
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True) if width) for row in cells)
    return dict(zip(places, lines, strict=True))
