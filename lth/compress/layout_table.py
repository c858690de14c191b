"""The table of `lth layout`: parameters, MACs, latency and accuracy of stored nets in each layout."""

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import pandas as pd

from lth.analysis.plot.labels import model_name
from lth.analysis.summary import spreads
from lth.compress.latency import BATCHES, accuracy, batch, check, columns, latencies
from lth.compress.layouts import NOTES, layouts
from lth.compress.nets import Net, by_dense, labels
from lth.compress.tables import where
from lth.data import normalized
from lth.job import Job
from lth.ticket import Trained

SHOWN = {
    "parameters": ("parameters", 1, 0),
    "MACs": ("macs", 1, 0),
    "ms, batch 1": ("ms_1", 1, 3),
    "ms, batch 128": ("ms_128", 1, 2),
    "times faster, 1": ("faster_1", 1, 2),
    "times faster, 128": ("faster_128", 1, 2),
    "accuracy %": ("accuracy", 100, 2),
    "points above dense": ("points", 1, 2),
}


def measure(nets: Iterable[Net]) -> pd.DataFrame:
    """One row for each layout of each net: accuracy in [0, 1] and milliseconds a batch; faster and points (of accuracy)
    compare it with the net of level 0 that it comes from, which must be the first net of every run. Under an updater
    that net is not dense, and points is NaN.

    All nets that come from one dense net are timed together.
    """
    return pd.concat([_family(family) for family in by_dense(nets)], ignore_index=True)


def markdown(table: pd.DataFrame) -> str:
    """Mean and sample standard deviation over replicates of each layout, a table for each model; a line
    describes each layout.
    """
    parts = [f"### {model_name(model)}\n\n{_markdown(part)}" for model, part in table.groupby("model", sort=True)]
    present = set(table["layout"])
    notes = [f"* {layout}: {note}" for layout, note in NOTES.items() if layout in present]
    return "\n\n".join([*parts, "\n".join(notes)])


def _family(family: Sequence[Net]) -> pd.DataFrame:
    data, task = family[0][0].recipe.data, family[0][0].recipe.task
    check(task)
    images, targets = normalized(data, data.test)
    found = {
        (index, name): each
        for index, (job, trained) in enumerate(family)
        for name, each in layouts(trained, job.recipe).items()
    }
    speeds = {
        size: latencies({key: partial(each.net, batch(images, size)) for key, each in found.items()})
        for size in BATCHES
    }
    rows = [
        {
            **_labels(*family[index]),
            "layout": name,
            "parameters": each.parameters,
            "macs": each.macs,
            **{key: value for size in BATCHES for key, value in columns(size, speeds[size][index, name]).items()},
            "accuracy": accuracy(each.net, images, targets, task),
            **where(),
        }
        for (index, name), each in found.items()
    ]
    return _compared(pd.DataFrame(rows))


def _compared(table: pd.DataFrame) -> pd.DataFrame:
    dense = table.iloc[0]
    faster = {f"faster_{size}": dense[f"ms_{size}"] / table[f"ms_{size}"] for size in BATCHES}
    points = 100 * (table["accuracy"] - dense["accuracy"]) if dense["density"] == 1 else math.nan
    return table.assign(**faster, points=points)


def _labels(job: Job, trained: Trained) -> dict[str, Any]:
    """Columns that identify a net and how it was pruned; jobs share the dense net they start from."""
    first, pruned = labels(job, trained), trained.ticket.level > 0
    pruning = {
        "distribution": job.columns.get("distribution", "") if pruned else "none",
        "structure": job.columns.get("structure", "") if pruned else "none",
        "config": job.columns["config"] if pruned else "",
    }
    return {**{key: first.pop(key) for key in ("experiment", "model", "data")}, **pruning, **first}


def _markdown(table: pd.DataFrame) -> str:
    keys = ["distribution", "structure", "config", "level", "layout"]
    groups = (
        ([_pruned(part.iloc[0]), f"{100 * part['density'].mean():.2f}", str(layout)], part)
        for (*_, layout), part in table.groupby(keys, sort=False)
    )
    return spreads(groups, ["structure", "% of weights", "layout"], SHOWN)


def _pruned(row: Mapping[str, Any]) -> str:
    """Label of how a net was pruned, such as "neuron" or, if not at the paper's rates by kind, "weight, globally"."""
    structure, distribution = str(row["structure"]), str(row["distribution"])
    return structure if distribution in ("by_kind", "none") else f"{structure}, {distribution}"
