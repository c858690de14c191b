"""What files are worth: bytes, accuracy, latency, memory."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

import pandas as pd

from lth.analysis import plot
from lth.analysis.summary import spreads
from lth.compress import onnx
from lth.compress.formats import BITS, files
from lth.data import normalized
from lth.job import Job
from lth.store.environment import environment
from lth.ticket import Trained, density


def scored(nets: Iterable[tuple[Job, Trained]], bits: Sequence[int] = BITS) -> pd.DataFrame:
    """A row for each file of several nets: bytes, accuracy in [0, 1], milliseconds, megabytes; how many times smaller
    and faster (at batch 128) and how many points more accurate than the float32 file of the same job's dense net, which
    is not known if that is not among them. The nets of a job stand beside each other; they are timed together.
    """
    jobs = groupby(nets, key=lambda net: id(net[0]))
    table = pd.DataFrame([row for _, of_job in jobs for row in _scores(list(of_job), bits)])
    keys = ["experiment", "model", "data", "replicate"]
    dense = table[(table["level"] == 0) & (table["format"] == "float32")].set_index(keys)
    base = table[keys].join(dense[["bytes", "ms_128", "accuracy"]], on=keys)
    return table.assign(
        smaller=base["bytes"] / table["bytes"],
        faster=base["ms_128"] / table["ms_128"],
        points=100 * (table["accuracy"] - base["accuracy"]),
    )


def _scores(nets: Sequence[tuple[Job, Trained]], bits: Sequence[int]) -> Iterator[dict[str, Any]]:
    job, recipe = nets[0][0], nets[0][0].recipe
    made = {(t.ticket, name): each for _, t in nets for name, each in files(t, recipe, bits).items()}
    runnable, shape = {key: each.onnx for key, each in made.items()}, recipe.data.shape
    images, labels = normalized(recipe.data, recipe.data.test)
    alone, many = (onnx.latencies(runnable, shape, size) for size in (1, 128))
    for (ticket, name), each in made.items():
        yield {
            "experiment": job.name,
            "model": job.columns["model"],
            "data": recipe.data.name,
            "replicate": job.replicates[0],
            "level": ticket.level,
            "density": density(ticket.mask),
            "format": name,
            "bytes": len(each.content),
            "accuracy": onnx.accuracy(each.onnx, images, labels),
            "ms_1": alone[ticket, name],
            "ms_128": many[ticket, name],
            "memory_mb": onnx.memory(each.onnx, shape, 128),
            **({"reduced": job.reduced} if job.reduced else {}),
            **{key: environment()[key] for key in ("machine", "commit", "date")},
        }


def markdown(table: pd.DataFrame) -> str:
    """Mean and sample deviation over replicates for each net and format."""
    shown = {
        "bytes": ("bytes", 1, 0),
        "times smaller": ("smaller", 1, 1),
        "accuracy %": ("accuracy", 100, 2),
        "points above dense": ("points", 1, 2),
        "ms, batch 1": ("ms_1", 1, 3),
        "ms, batch 128": ("ms_128", 1, 2),
        "times faster, 128": ("faster", 1, 1),
        "peak MB": ("memory_mb", 1, 1),
    }
    groups = (
        ([plot.NAMES.get(str(model), str(model)), f"{100 * part['density'].mean():.2f}", str(name)], part)
        for (model, _, name), part in table.groupby(["model", "level", "format"], sort=False)
    )
    return spreads(groups, ["net", "% of weights", "format"], shown)
