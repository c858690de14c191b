"""`lth compress`: stored nets as files, what each is worth, and the Pareto front of them."""

import argparse
import logging
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch
from rich.progress import track

from lth import UserError
from lth.analysis import plot
from lth.cli import config
from lth.cli.console import log_to_console
from lth.compress.scores import markdown, scored
from lth.job import Job, stored
from lth.store import Store
from lth.store.environment import commit, machine
from lth.ticket import Trained

log = logging.getLogger("lth")


def main(chosen: argparse.Namespace) -> int:
    """Score the files of stored nets; prints the table and writes <out>/<name>_files.*; returns the exit code."""
    torch.set_num_threads(1)
    log_to_console(stderr=True)
    found = selected(config.jobs(chosen.overrides), chosen.levels)
    nets = track(found, "files", transient=True, disable=not sys.stderr.isatty())
    for name, part in scored(nets, chosen.bits).groupby("experiment"):
        _write(str(name), part, chosen.out)
    return 0


def selected(jobs: Iterable[tuple[Job, Path]], levels: Sequence[int] | None) -> list[tuple[Job, Trained]]:
    """The stored nets of the main line, by default the dense one and the last; what is not stored is named and left
    out. Raises UserError if nothing of it is.
    """
    nets, missing = [], []
    for job, root in jobs:
        found = {t.ticket.level: t for t in stored(replace(job, branches={}), Store(root))}
        wanted = sorted({0, max(found, default=0)}) if levels is None else levels
        missing += [
            f"level {level} of {job.name}, {model_name(job)}, replicate {job.replicates[0]}, is not stored "
            f"under {root} "
            f"(stored: {', '.join(map(str, found)) or 'nothing yet'})"
            for level in wanted
            if level not in found
        ]
        nets += [(job, found[level]) for level in wanted if level in found]
    if not nets:
        raise UserError("; ".join([*missing, "lth run with the same words trains it"]))
    for each in missing:
        log.warning("%s", each)
    return nets


def model_name(job: Job) -> str:
    """The name of the job's net as papers write it."""
    name = str(job.columns["model"])
    return plot.NAMES.get(name, name)


def _write(name: str, table: pd.DataFrame, out: Path) -> None:
    facts = f"{machine()}, one thread; commit {commit()}; mean ± standard deviation over n replicates"
    text = "\n".join([markdown(table), "", "; ".join([facts, *plot.reductions(table)])])
    written = plot.save(plot.pareto(table, f"{name}: accuracy against size"), out, f"{name}_files")
    table.to_csv(out / f"{name}_files.csv", index=False)
    (out / f"{name}_files.md").write_text(f"{text}\n")
    print(f"{text}\n", *written, out / f"{name}_files.csv", out / f"{name}_files.md", sep="\n")
