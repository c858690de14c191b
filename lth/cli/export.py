"""`lth export`: one stored net as a file."""

import argparse
from pathlib import Path

import torch

from lth import UserError
from lth.analysis.plot.labels import model_name
from lth.cli import config
from lth.cli.console import log_to_console
from lth.cli.display import on_stderr
from lth.compress import plain
from lth.compress.nets import Net, select
from lth.compress.scaled import line
from lth.file import write_out
from lth.store.file import make_folder
from lth.ticket import density

ENDINGS = {".lth", ".onnx", *(f".{kind}" for _, kind in plain.FORMATS.values())}


def main(arguments: argparse.Namespace) -> int:
    """Write the file of one stored net; returns the exit code."""
    torch.set_num_threads(1)
    log_to_console(stderr=True)
    jobs = config.jobs(arguments.overrides, arguments.config_dir)
    if (count := sum(len(job.replicates) for job, _ in jobs)) > 1:
        raise UserError(f"these overrides name {count} nets: give one replicate and one value of each key")
    form = {"onnx": "float32"}.get(arguments.format, arguments.format)
    if form == "torchscript":
        raise UserError("torchscript: PyTorch has deprecated it; program is its successor, a .pt2 file of torch.export")
    ending = _ending(form)
    if arguments.out:  # before what may take long
        if arguments.out.suffix in ENDINGS - {ending}:
            better = arguments.out.with_suffix(ending)
            raise UserError(f"--out {arguments.out}: format {form} is a {ending} file; name it {better}")
        make_folder(arguments.out.resolve().parent, "Give --out another folder")
    net = select(jobs, None if arguments.level is None else [arguments.level], trains=on_stderr)[-1]
    content = _content(net, form)
    job, ticket = net[0], net[1].ticket
    target = arguments.out or Path(f"{job.name}-{ticket.replicate}-level-{ticket.level}-{form}{ending}")
    write_out(target, content)
    percent = 100 * density(net[1].mask)
    print(f"{target}  {len(content):,} bytes  ({ticket}, {percent:.2f}% of the weights); {line(job.recipe.data)}")
    return 0


def _ending(name: str) -> str:
    """The ending of the names of files of a format."""
    if name in plain.FORMATS:
        return f".{plain.FORMATS[name][1]}"
    return ".lth" if name.startswith("lth") else ".onnx"


def _content(net: Net, name: str) -> bytes:
    """The bytes of the file. Formats of PyTorch need no ONNX."""
    job, trained = net
    if name in plain.FORMATS:
        return plain.FORMATS[name][0](trained, job.recipe_of(trained.ticket))
    from lth.compress.formats import file

    exported = file(trained, job.recipe, name)
    if exported is None:
        raise UserError(f"{name} needs a linear layer, and {model_name(job.columns['model'])} has none")
    return exported.content
