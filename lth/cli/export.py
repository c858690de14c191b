"""`lth export`: one stored net as a file."""

import argparse
from pathlib import Path

import torch

from lth import UserError
from lth.cli import config
from lth.compress.formats import file
from lth.compress.nets import model_name, select
from lth.file import write_out
from lth.ticket import density


def main(arguments: argparse.Namespace) -> int:
    """Write the file of one stored net; returns the exit code."""
    torch.set_num_threads(1)
    jobs = config.jobs(arguments.overrides, arguments.config_dir)
    if (count := sum(len(job.replicates) for job, _ in jobs)) > 1:
        raise UserError(f"these overrides name {count} nets: give one replicate and one value of each key")
    ((job, trained),) = select(jobs, [arguments.level])
    exported = file(trained, job.recipe, arguments.format)
    if exported is None:
        raise UserError(f"{arguments.format} needs a linear layer, and {model_name(job.columns['model'])} has none")
    ticket, kind = trained.ticket, "lth" if arguments.format.startswith("lth") else "onnx"
    name = f"{job.name}-{ticket.replicate}-level-{ticket.level}-{arguments.format}.{kind}"
    target = arguments.out or Path(name)
    write_out(target, exported.content)
    percent = 100 * density(trained.mask)
    print(f"{target}  {len(exported.content):,} bytes  ({ticket}, {percent:.2f}% of the weights)")
    return 0
