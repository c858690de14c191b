"""The two commands."""

import logging
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch
from rich.progress import track

from lth import command, plot, run
from lth.check import ConfigError
from lth.compress.file import file
from lth.compress.score import markdown, scored
from lth.environment import commit, machine
from lth.job import Job, stored
from lth.store import Store
from lth.store.file import write_whole
from lth.table import origin
from lth.ticket import Trained

log = logging.getLogger("lth")


def main(words: Sequence[str], out: Path, levels: Sequence[int] | None, bits: Sequence[int]) -> int:
    """Score the files of stored nets; prints the table and writes <out>/<name>_files.*; returns the exit code."""
    torch.set_num_threads(1)
    command.log_to_console(stderr=True)
    try:
        found = chosen(run.jobs(words), levels)
    except (ConfigError, ValueError, OSError) as error:
        print(f"lth compress: {error}", file=sys.stderr)
        return 2
    nets = track(found, "files", transient=True, disable=not sys.stderr.isatty())
    for name, part in scored(nets, bits).groupby("experiment"):
        _write(str(name), part, out)
    return 0


def write(words: Sequence[str], level: int, name: str, out: Path | None) -> int:
    """Write the file of one stored net; returns the exit code."""
    torch.set_num_threads(1)
    try:
        jobs = run.jobs(words)
        if len(jobs) > 1:
            raise ValueError(f"these words stand for {len(jobs)} jobs: leave one replicate and one value of each key")
        ((job, trained),) = chosen(jobs, [level])
        made = file(trained, job.recipe, name)
        if made is None:
            raise ValueError(f"{name} needs a linear layer, and {_model(job)} has none")
    except (ConfigError, ValueError, OSError) as error:
        print(f"lth export: {error}", file=sys.stderr)
        return 2
    kind = "lth" if name.startswith("lth") else "onnx"
    target = out or Path(f"{job.name}-{job.replicate}-level-{level}-{name}.{kind}")
    write_whole(target, made.content)
    percent = 100 * origin(trained.ticket)["density"]
    print(f"{target}  {len(made.content):,} bytes  ({trained.ticket}, {percent:.2f}% of the weights)")
    return 0


def chosen(jobs: Iterable[tuple[Job, Path]], levels: Sequence[int] | None) -> list[tuple[Job, Trained]]:
    """The stored nets of the main line, by default the dense one and the last; what is not stored is named and left
    out. Raises ValueError if nothing of it is.
    """
    nets, missing = [], []
    for job, root in jobs:
        found = {t.ticket.level: t for t in stored(replace(job, branches={}, quantizations={}), Store(root))}
        wanted = sorted({0, max(found, default=0)}) if levels is None else levels
        missing += [
            f"level {level} of {job.name}, {_model(job)}, replicate {job.replicate}, is not stored under {root} "
            f"(stored: {', '.join(map(str, found)) or 'nothing yet'})"
            for level in wanted
            if level not in found
        ]
        nets += [(job, found[level]) for level in wanted if level in found]
    if not nets:
        raise ValueError("; ".join([*missing, "lth run with the same words trains it"]))
    for each in missing:
        log.warning("%s", each)
    return nets


def _model(job: Job) -> str:
    name = str(job.columns["model"])
    return plot.NAMES.get(name, name)


def _write(name: str, table: pd.DataFrame, out: Path) -> None:
    facts = f"{machine()}, one thread; commit {commit()}; mean ± standard deviation over n replicates"
    text = "\n".join([markdown(table), "", "; ".join([facts, *plot.reductions(table)])])
    written = plot.save(plot.pareto(table, f"{name}: accuracy against size"), out, f"{name}_files")
    table.to_csv(out / f"{name}_files.csv", index=False)
    (out / f"{name}_files.md").write_text(f"{text}\n")
    print(f"{text}\n", *written, out / f"{name}_files.csv", out / f"{name}_files.md", sep="\n")
