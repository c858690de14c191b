"""The table of `lth compress`: bytes, accuracy, latency and memory of the files of stored nets."""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pandas as pd

from lth.analysis.summary import spreads
from lth.compress import onnx
from lth.compress.formats import BITS, files
from lth.compress.latency import BATCHES, accuracy, check, latencies
from lth.compress.nets import Net, by_run, labels, model_name
from lth.compress.tables import where
from lth.data import normalized

SHOWN = {
    "bytes": ("bytes", 1, 0),
    "times smaller": ("smaller", 1, 1),
    "accuracy %": ("accuracy", 100, 2),
    "points above dense": ("points", 1, 2),
    "ms, batch 1": ("ms_1", 1, 3),
    "ms, batch 128": ("ms_128", 1, 2),
    "times faster, 128": ("faster", 1, 1),
    "peak MB": ("memory_mb", 1, 1),
}


def measure(nets: Iterable[Net], bits: Sequence[int] = BITS) -> pd.DataFrame:
    """One row for each file of each net: bytes, accuracy in [0, 1], milliseconds, megabytes. smaller, faster (at batch
    128) and points (of accuracy) compare it with the float32 file of the same run's dense net; NaN without that.

    The files of a run (one replicate of a job) are timed together.
    """
    return pd.concat([_compared(pd.DataFrame(_rows(run, bits))) for run in by_run(nets)], ignore_index=True)


def markdown(table: pd.DataFrame) -> str:
    """Mean and sample standard deviation over replicates for each net and format."""
    groups = (
        ([model_name(str(model)), f"{100 * part['density'].mean():.2f}", str(name)], part)
        for (model, _, name), part in table.groupby(["model", "level", "format"], sort=False)
    )
    return spreads(groups, ["net", "% of weights", "format"], SHOWN)


def _rows(run: Sequence[Net], bits: Sequence[int]) -> Iterator[dict[str, Any]]:
    recipe = run[0][0].recipe
    check(recipe.task)
    formats = [files(trained, recipe, bits) for _, trained in run]
    found = {(index, name): each for index, of_net in enumerate(formats) for name, each in of_net.items()}
    sessions = {key: onnx.session(each.model) for key, each in found.items()}
    images, targets = normalized(recipe.data, recipe.data.test)
    speeds = {
        f"ms_{size}": latencies({key: onnx.forward(session, images[:size]) for key, session in sessions.items()})
        for size in BATCHES
    }
    for (index, name), each in found.items():
        job, trained = run[index]
        yield {
            **labels(job, trained),
            "format": name,
            "bytes": len(each.content),
            "accuracy": accuracy(onnx.logits(sessions[index, name]), images, targets, recipe.task),
            **{column: speed[index, name] for column, speed in speeds.items()},
            "memory_mb": onnx.peak_memory(each.model, recipe.data.shape, max(BATCHES)),
            **({"reduced": job.reduced} if job.reduced else {}),
            **where(),
        }


def _compared(table: pd.DataFrame) -> pd.DataFrame:
    dense = table[(table["level"] == 0) & (table["format"] == "float32")]
    size, milliseconds, accuracy_ = dense[["bytes", "ms_128", "accuracy"]].squeeze() if len(dense) else [math.nan] * 3
    return table.assign(
        smaller=size / table["bytes"],
        faster=milliseconds / table["ms_128"],
        points=100 * (table["accuracy"] - accuracy_),
    )
