"""What files are worth: bytes, accuracy, latency, memory."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pandas as pd

from lth import export, plot
from lth.compress.file import BITS, files
from lth.data import normalized
from lth.environment import environment
from lth.job import Job
from lth.table import mean_and_spread, origin
from lth.text import aligned
from lth.ticket import Trained


def scored(nets: Iterable[tuple[Job, Trained]], bits: Sequence[int] = BITS) -> pd.DataFrame:
    """`scores` of several nets, with smaller, faster (at batch 128; times) and points of accuracy against the float32
    file of the same replicate's dense net; not known where that is not among them.
    """
    table = pd.DataFrame([row for job, trained in nets for row in scores(job, trained, bits)])
    keys = ["experiment", "model", "data", "replicate"]
    dense = table[(table["level"] == 0) & (table["format"] == "float32")].set_index(keys)
    base = table[keys].join(dense[["bytes", "ms_128", "accuracy"]], on=keys)
    return table.assign(
        smaller=base["bytes"] / table["bytes"],
        faster=base["ms_128"] / table["ms_128"],
        points=100 * (table["accuracy"] - base["accuracy"]),
    )


def scores(job: Job, trained: Trained, bits: Sequence[int] = BITS) -> Iterator[dict[str, Any]]:
    """A row for each file of a trained net: bytes, accuracy in [0, 1], milliseconds, megabytes."""
    recipe = job.recipe
    made = files(trained, recipe, bits)
    runnable, shape = {name: each.onnx for name, each in made.items()}, recipe.data.shape
    images, labels = normalized(recipe.data, recipe.data.test)
    alone, many = (export.latencies(runnable, shape, size) for size in (1, 128))
    for name, each in made.items():
        yield {
            "experiment": job.name,
            "model": job.columns["model"],
            "data": recipe.data.name,
            "replicate": job.replicate,
            "level": trained.ticket.level,
            "density": origin(trained.ticket)["density"],
            "format": name,
            "bytes": len(each.content),
            "accuracy": export.accuracy(each.onnx, images, labels),
            "ms_1": alone[name],
            "ms_128": many[name],
            "memory_mb": export.memory(each.onnx, shape, 128),
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
    lines = [["net", "% of weights", "format", *shown, "n"]]
    for (model, _, name), part in table.groupby(["model", "level", "format"], sort=False):
        name_of = plot.NAMES.get(str(model), str(model))
        cells = [mean_and_spread(scale * part[column], digits) for column, scale, digits in shown.values()]
        lines.append([name_of, f"{100 * part['density'].mean():.2f}", str(name), *cells, str(len(part))])
    return aligned(lines)
