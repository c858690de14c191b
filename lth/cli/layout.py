"""`lth layout`: what pruning is worth on this machine, by how a net is stored."""

import argparse

import torch

from lth.cli import config
from lth.cli.console import log_to_console
from lth.cli.display import on_stderr
from lth.compress.latency import settled
from lth.compress.layout_table import markdown, measure
from lth.compress.nets import select
from lth.compress.tables import provenance, write
from lth.store.file import OTHER_OUT, make_folder


def main(arguments: argparse.Namespace) -> int:
    """Measure stored nets; print the tables and write <out>/<name>_layouts.csv and .md; returns the exit code."""
    torch.set_num_threads(1)
    log_to_console(stderr=True)
    jobs = config.jobs(arguments.overrides, arguments.config_dir)
    make_folder(arguments.out, OTHER_OUT)  # before what takes long
    nets = select(jobs, arguments.levels, with_dense=True, trains=on_stderr)
    for name, part in measure(nets).groupby("experiment"):
        text = f"{markdown(part)}\n\n{settled(part)}\n\n{provenance('one thread, float32')}"
        print(f"{text}\n", *write(part, text, arguments.out, f"{name}_layouts"), sep="\n")
    return 0
