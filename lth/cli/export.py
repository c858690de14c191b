"""`lth export`: one stored net as a file."""

import argparse
from pathlib import Path

import torch

from lth import UserError
from lth.cli import config
from lth.cli.compress import model_name, selected
from lth.compress.formats import file
from lth.store.file import write_whole
from lth.ticket import density


def main(chosen: argparse.Namespace) -> int:
    """Write the file of one stored net; returns the exit code."""
    torch.set_num_threads(1)
    jobs = config.jobs(chosen.overrides)
    if len(jobs) > 1:
        raise UserError(f"these overrides stand for {len(jobs)} jobs: leave one replicate and one value of each key")
    ((job, trained),) = selected(jobs, [chosen.level])
    made = file(trained, job.recipe, chosen.format)
    if made is None:
        raise UserError(f"{chosen.format} needs a linear layer, and {model_name(job)} has none")
    kind = "lth" if chosen.format.startswith("lth") else "onnx"
    target = chosen.out or Path(f"{job.name}-{job.replicates[0]}-level-{chosen.level}-{chosen.format}.{kind}")
    write_whole(target, made.content)
    ticket = trained.ticket
    percent = 100 * density(trained.mask)
    print(f"{target}  {len(made.content):,} bytes  ({ticket}, {percent:.2f}% of the weights)")
    return 0
