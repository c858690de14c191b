"""Commands that make an experiment again: those that trained it, and those that read what is stored."""

import math
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from lth.analysis import registry
from lth.store.record import records

Words = Sequence[str]


def commands(name: str, runs: Path, figures: Path) -> list[tuple[str, str]]:
    """(command, remark) of each; the lab record of an experiment that comes with lth says how it is trained."""
    where = "" if str(runs) == "runs" else f" --runs {shlex.quote(str(runs))}"
    beside = "" if str(figures) == "figures" else f" --figures {shlex.quote(str(figures))}"
    quoted = shlex.quote(name)
    return [
        *([] if name in registry.names() else trained(name, runs)),
        *((f"lth run plan=true experiment={arm}", "what it trains, and what is stored") for arm in registry.arms(name)),
        (f"lth figure {quoted}{where}", "the figure and its tables"),
        (f"lth cost {quoted}{where}", "what the trainings cost"),
        (f"lth report {quoted}{where}{beside}", "this page"),
    ]


def trained(name: str, runs: Path) -> list[tuple[str, str]]:
    """(command, remark) of each `lth run` that trains what is stored of an experiment; of jobs that were stored without
    overrides, from Python or by `lth unpack`, none.
    """
    made: dict[tuple[str, ...], bool] = {}
    for record in records(runs, name):
        if "overrides" in record:
            words = tuple(record["overrides"])
            made[words] = made.get(words, False) or bool(record["code"].get("sources"))
    root = [] if str(runs) == "runs" else [f"root={runs}"]
    own = ", with code of your own (and --config-dir DIR if it had one)" if any(made.values()) else ""
    return [
        (shlex.join(["lth", "run", *sweep, f"name={name}", *words, *root]), f"what trained it{own}")
        for sweep, words in _sweeps([*made])
    ]


def _sweeps(made: Sequence[Words]) -> Iterator[tuple[Words, Words]]:
    """The flag -m or none, and the overrides of each command: one for all jobs of the same keys, if these have every
    combination of the values, else one for each job.
    """
    of_keys: dict[tuple[str, ...], list[Words]] = {}
    for words in made:
        of_keys.setdefault(tuple(word.partition("=")[0] for word in words), []).append(words)
    for jobs in of_keys.values():
        columns = [[*dict.fromkeys(column)] for column in zip(*jobs, strict=True)]
        if len(jobs) == 1 or math.prod(map(len, columns)) > len(jobs):
            yield from (([], words) for words in jobs)
        else:
            yield ["-m"], [_joined(column) for column in columns]


def _joined(column: Words) -> str:
    """One override with the values of several of the same key."""
    key, equals, _ = column[0].partition("=")
    return key + equals + ",".join(word.partition("=")[2] for word in column)
