"""`lth layout`: what pruning is worth on this machine, by how a net is stored."""

import argparse
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from lth import UserError
from lth.analysis import plot
from lth.analysis.summary import spreads
from lth.cli import config
from lth.cli.console import log_to_console
from lth.compress.latency import accuracy, latencies
from lth.compress.layouts import NOTES, layouts
from lth.data import normalized
from lth.job import Job, stored
from lth.store import Store
from lth.store.environment import commit, environment, machine
from lth.ticket import Trained, density

BATCHES = (1, 128)

log = logging.getLogger("lth")


def main(chosen: argparse.Namespace) -> int:
    """Measure stored nets; prints the tables and writes <out>/<name>_layouts.csv and .md; returns the exit code."""
    torch.set_num_threads(1)
    log_to_console(stderr=True)
    found, out = _families(chosen.overrides, chosen.levels), chosen.out
    table = pd.concat([measured(family) for family in found], ignore_index=True)
    out.mkdir(parents=True, exist_ok=True)
    for name, part in table.groupby("experiment"):
        _write(str(name), part, out)
    return 0


def measured(family: Sequence[tuple[Job, Trained]]) -> pd.DataFrame:
    """A row for each layout of trained nets of which the first is the dense one that all others come from: accuracy in
    [0, 1], milliseconds a batch, and how many times faster and how many points more accurate than the dense net.
    """
    data = family[0][0].recipe.data
    images, labels = normalized(data, data.test)
    made = {
        (index, name): each
        for index, (job, trained) in enumerate(family)
        for name, each in layouts(trained, job.recipe).items()
    }
    nets = {key: each.net for key, each in made.items()}
    speeds = {f"ms_{size}": latencies(nets, images[:size]) for size in BATCHES}
    table = pd.DataFrame([
        {**_labels(*family[index]), "layout": name, "parameters": each.parameters, "macs": each.macs,
         **{column: speed[index, name] for column, speed in speeds.items()},
         "accuracy": accuracy(each.net, images, labels),
         **{key: environment()[key] for key in ("machine", "commit", "date")}}
        for (index, name), each in made.items()
    ])  # fmt: skip
    dense = table.iloc[0]
    faster = {f"faster_{size}": dense[f"ms_{size}"] / table[f"ms_{size}"] for size in BATCHES}
    return table.assign(**faster, points=100 * (table["accuracy"] - dense["accuracy"]))


def markdown(table: pd.DataFrame) -> str:
    """Mean and sample deviation over replicates of each layout, a table for each net."""
    return "\n\n".join(f"### {plot.NAMES.get(str(model), model)}\n\n{_markdown(part)}"
                       for model, part in table.groupby("model", sort=True))  # fmt: skip


def _markdown(table: pd.DataFrame) -> str:
    shown = {
        "parameters": ("parameters", 1, 0),
        "MACs": ("macs", 1, 0),
        "ms, batch 1": ("ms_1", 1, 3),
        "ms, batch 128": ("ms_128", 1, 2),
        "times faster, 1": ("faster_1", 1, 2),
        "times faster, 128": ("faster_128", 1, 2),
        "accuracy %": ("accuracy", 100, 2),
        "points above dense": ("points", 1, 2),
    }
    groups = (
        ([str(structure), f"{100 * part['density'].mean():.2f}", str(layout)], part)
        for (structure, _, _, layout), part in table.groupby(["structure", "config", "level", "layout"], sort=False)
    )
    return spreads(groups, ["structure", "% of weights", "layout"], shown)


def _labels(job: Job, trained: Trained) -> dict[str, Any]:
    """The dense net is that of all arms."""
    level, columns = trained.ticket.level, job.columns
    return {
        "experiment": job.name,
        "model": columns["model"],
        "data": columns["data"],
        "structure": columns["structure"] if level else "none",
        "config": columns["config"] if level else "",
        "replicate": job.replicates[0],
        "level": level,
        "density": density(trained.mask),
    }


def _families(words: Sequence[str], levels: Sequence[int] | None) -> list[list[tuple[Job, Trained]]]:
    """The stored nets of the main lines, by the dense net they come from, which is the first. Raises UserError if
    what was asked for is not stored.
    """
    families: dict[tuple[str, str], list[tuple[Job, Trained]]] = {}
    for job, root in config.jobs(words):
        found = stored(replace(job, branches={}), Store(root))
        if not found:
            log.warning("nothing of %s, replicate %d, is stored under %s", job.name, job.replicates[0], root)
            continue
        pruned = {t.ticket.level: t for t in found[1:]}
        wanted = [*pruned] if levels is None else [level for level in levels if level]
        if missing := [level for level in wanted if level not in pruned]:
            raise UserError(
                f"level {missing[0]} of {job.name}, replicate {job.replicates[0]}, is not stored under {root}; "
                f"stored: {', '.join(str(t.ticket.level) for t in found)}"
            )
        family = families.setdefault((job.name, str(found[0].facts["digest"])), [(job, found[0])])
        family += [(job, pruned[level]) for level in wanted]
    if not families:
        raise UserError(f"nothing is stored yet: lth run {' '.join(words)} trains it")
    return list(families.values())


def _write(name: str, table: pd.DataFrame, out: Path) -> None:
    used = [f"* {layout}: {note}" for layout, note in NOTES.items() if layout in set(table["layout"])]
    origin_ = f"{machine()}, one thread, float32; commit {commit()}; mean ± standard deviation over n replicates"
    text = "\n".join([markdown(table), "", *used, "", origin_])
    table.to_csv(out / f"{name}_layouts.csv", index=False)
    (out / f"{name}_layouts.md").write_text(f"{text}\n")
    print(f"{text}\n", out / f"{name}_layouts.csv", out / f"{name}_layouts.md", sep="\n")
