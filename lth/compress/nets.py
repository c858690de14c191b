"""Selection of stored nets: which level of which job and replicate."""

import logging
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import pandas as pd

from lth import UserError
from lth.analysis import variants as configurations
from lth.analysis.plot.labels import model_name
from lth.engine import Callback
from lth.job import Job, Trains, ended, stored, trainer
from lth.store import Store
from lth.store.labels import UNTOLD
from lth.store.record import records
from lth.ticket import Trained, density

Net = tuple[Job, Trained]

log = logging.getLogger("lth")
QUIETLY = partial(trainer, callback=Callback())
SAID, NAMED = 6, 2  # settings that tell what is stored from what was asked for, and configurations that are named
ENDED = "a stop rule ended pruning before"


def select(
    jobs: Iterable[tuple[Job, Path]],
    levels: Sequence[int] | None = None,
    *,
    with_dense: bool = False,
    trains: Trains = QUIETLY,
) -> list[Net]:
    """Stored nets of jobs (each with the folder of its store), without branches, ordered by job, replicate and level as
    requested (None: all). with_dense: the dense net comes first, requested or not. Weights that were not kept are
    trained again when they are asked for, by what `trains` gives.

    Missing nets are logged and skipped. Raises UserError if nothing is left.
    """
    nets, missing = list[Net](), list[str]()
    runs: dict[tuple[Any, ...], tuple[Job, Path, dict[int, Trained]]] = {}
    for job, root in jobs:
        if with_dense and job.train_from:
            raise UserError(f"{job.name}: nets are compared to the dense one, and train_from={job.train_from} trains "
                            "none; lth compress measures the files of each net")  # fmt: skip
        for replicate, found in _stored(job, root, trains).items():
            run = root, job.name, job.columns["config"], replicate  # which may be named twice
            runs.setdefault(run, (job, root, {}))[2].update(found)
    for (*_, replicate), (job, root, found) in runs.items():
        wanted = sorted(found) if levels is None else [*dict.fromkeys(levels)]
        missing += _missing(job, replicate, root, wanted, found)
        kept = [level for level in wanted if level in found]
        if with_dense and kept:
            kept = [0, *filter(None, kept)]
        nets += [(job, found[level]) for level in kept]
    if not nets:
        there = [each for each in missing if not each.endswith(ENDED)]
        far = "" if all(each.startswith("nothing of") for each in there) else ", and levels= that far,"
        remedy = [f"lth run with the same overrides{far} trains it"] if there else []
        raise UserError("; ".join([*missing, *remedy]))
    for each in missing:
        log.warning("%s", each)
    return nets


def first_and_last(nets: Iterable[Net]) -> list[Net]:
    """Nets of the lowest and the highest level of each job and replicate, as a rule dense and most pruned."""
    return [net for run in by_run(nets) for net in sorted(run, key=_level)[:: max(len(run) - 1, 1)]]


def by_run(nets: Iterable[Net]) -> Iterator[list[Net]]:
    """Consecutive nets of the same job and replicate, as lists."""
    return (list(run) for _, run in groupby(nets, key=lambda net: (id(net[0]), net[1].ticket.replicate)))


def by_dense(nets: Iterable[Net]) -> list[list[Net]]:
    """Nets grouped by experiment and by the dense net they come from, which is the first of its group and must be the
    first of its run. Jobs that differ only in how they prune share a group.
    """
    families: dict[tuple[str, str], list[Net]] = {}
    for (job, dense), *pruned in by_run(nets):
        family = families.setdefault((job.name, str(dense.facts["digest"])), [(job, dense)])
        family += pruned
    return list(families.values())


def variants(jobs: Iterable[Job]) -> dict[tuple[str, str], str]:
    """(experiment, configuration) -> values of the columns that tell the configuration from others of the same
    experiment and model, such as "rewind.step=100"; "" if there is no other.
    """
    columns = {
        (job.name, job.columns["config"]): {"experiment": job.name, "steps": job.recipe.steps, **job.columns}
        for job in jobs
    }
    table = pd.DataFrame(columns.values())
    parts = [configurations.variants(part) for _, part in table.groupby(["experiment", "model"])]
    return dict(zip(columns, pd.concat(parts).sort_index(), strict=True))


def labels(job: Job, trained: Trained) -> dict[str, Any]:
    """Columns that identify a net: experiment, model, data, replicate, level, density."""
    return {
        "experiment": job.name,
        "model": job.columns["model"],
        "data": job.recipe.data.name,
        "replicate": trained.ticket.replicate,
        "level": trained.ticket.level,
        "density": density(trained.mask),
    }


def _level(net: Net) -> int:
    return net[1].ticket.level


def _stored(job: Job, root: Path, trains: Trains) -> dict[int, dict[int, Trained]]:
    """Replicate -> level -> trained net."""
    found: dict[int, dict[int, Trained]] = {replicate: {} for replicate in job.replicates}
    for trained in stored(replace(job, branches={}), Store(root), trains):
        found[trained.ticket.replicate][trained.ticket.level] = trained
    return found


def _others(job: Job, root: Path) -> str:
    """Words on what is stored under the name of a job with other settings; empty if nothing is."""
    found: dict[str, None] = {}
    for record in records(root, job.name):
        theirs = {key: value for key, value in record["columns"].items() if key not in UNTOLD | {"replicate"}}
        told = [f"{key}={value}" for key, value in theirs.items() if job.columns.get(key) != value]
        if not told:  # only the replicate is another one
            return ""
        found[", ".join([*told[:SAID], *(["..."] if len(told) > SAID else [])])] = None
    held = " or ".join([*found][:NAMED]) + (f" and {len(found) - NAMED} more" if len(found) > NAMED else "")
    return f" ({job.name} has {held}: repeat what was given to lth run, or give the name alone)" if held else ""


def _missing(
    job: Job, replicate: int, root: Path, wanted: Sequence[int], found: Mapping[int, Trained]
) -> Iterator[str]:
    net = f"{job.name}, {model_name(job.columns['model'])}, replicate {replicate}"
    if not found:
        yield f"nothing of {net}, is stored under {root}, or it can't be read{_others(job, root)}"
        return
    last = ended(replace(job, branches={}), [*found.values()]).get(replicate, math.inf)
    for level in wanted:
        if level not in found:
            end = f"; {ENDED}" if level > last else ""
            yield f"level {level} of {net}, is not stored under {root} (stored: {', '.join(map(str, found))}){end}"
