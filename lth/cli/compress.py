"""`lth compress`: stored nets as files, with size, accuracy, latency and memory of each, and their Pareto front."""

import argparse
import sys
from pathlib import Path

import pandas as pd
import torch
from rich.progress import track

from lth.analysis import plot
from lth.cli import config
from lth.cli.console import log_to_console
from lth.cli.display import on_stderr
from lth.compress.file_table import failed, markdown, measure
from lth.compress.latency import settled
from lth.compress.nets import first_and_last, select
from lth.compress.tables import provenance, write
from lth.store.file import OTHER_OUT, make_folder


def main(arguments: argparse.Namespace) -> int:
    """Measure the files of stored nets; print the table and write <out>/<name>_files.*; returns the exit code, 1 if a
    file could not be written or run.
    """
    torch.set_num_threads(1)
    log_to_console(stderr=True)
    jobs = config.jobs(arguments.overrides, arguments.config_dir)
    make_folder(arguments.out, OTHER_OUT)  # before what takes long
    nets = select(jobs, arguments.levels, trains=on_stderr)
    nets = first_and_last(nets) if arguments.levels is None else nets
    table = measure(track(nets, "files", transient=True, disable=not sys.stderr.isatty()), arguments.bits)
    for name, part in table.groupby("experiment"):
        _write(f"{name}_files", part, f"{name}: accuracy against size", arguments.out)
    return int(failed(table))


def _write(name: str, table: pd.DataFrame, title: str, out: Path) -> None:
    made = provenance("one thread", plot.reductions(table))
    text = "\n\n".join(filter(None, [markdown(table), settled(table), made]))
    good = table.dropna(subset=["bytes"])
    figure = [] if good.empty else plot.save(plot.pareto(good, title), out, name)
    print(f"{text}\n", *figure, *write(table, text, out, name), sep="\n")
