"""`lth export`: one stored net as a file."""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

import torch

from lth import UserError
from lth.analysis.plot.labels import model_name
from lth.cli import config
from lth.cli.console import log_to_console
from lth.cli.display import on_stderr
from lth.cli.override import PLACES, key_of
from lth.compress import plain
from lth.compress.nets import Net, select
from lth.compress.scaled import line
from lth.file import write_out
from lth.job import Job
from lth.schedule import rungs
from lth.store.file import OTHER_OUT, make_folder
from lth.store.names import file_of
from lth.ticket import density

log = logging.getLogger("lth")
MOST = 4  # jobs that an error tells apart
# Ending of --out -> the format that it stands for, unless another is given.
USUAL = {
    ".onnx": "float32",
    ".lth": "lth",
    ".pt": "state_dict",
    ".pth": "state_dict",
    ".pt2": "program",
    ".safetensors": "safetensors",
}


def main(arguments: argparse.Namespace) -> int:
    """Write the file of one stored net; returns the exit code."""
    torch.set_num_threads(1)
    log_to_console(stderr=True)
    jobs = config.jobs(arguments.overrides, arguments.config_dir)
    if (count := sum(len(job.replicates) for job, _ in jobs)) > 1:
        raise UserError(
            f"these overrides name {count} nets: give one replicate and one value of each key{_apart(jobs)}"
        )
    given = arguments.format or _usual(arguments.out)
    form = {"onnx": "float32"}.get(given, given)
    if form == "torchscript":
        raise UserError("torchscript: PyTorch has deprecated it; program is its successor, a .pt2 file of torch.export")
    ending = _ending(form)
    if arguments.out:  # before what may take long
        if form in plain.FORMATS or form.startswith("lth"):  # which of the others there are is known to ONNX
            _check_ending(arguments.out, form, ending)
        make_folder(arguments.out.resolve().parent, OTHER_OUT)
    ((job, _),), level = jobs, arguments.level
    net = select(jobs, None if level is None else [level], trains=on_stderr)[-1]
    if level is None and net[1].ticket.level == 0 and not job.stops:  # the dense net, which other jobs have too
        (net,) = select(jobs, [rungs(job.levels)[-1]], trains=on_stderr)
    content = _content(net, form)
    if arguments.out:
        _check_ending(arguments.out, form, ending)
    ticket = net[1].ticket
    told = [job.name, str(ticket.replicate), *_telling(arguments.overrides), f"level-{ticket.level}-{form}"]
    target = arguments.out or Path(file_of(told) + ending)
    replaced = "; replaced another file" if target.is_file() and target.read_bytes() != content else ""
    write_out(target, content)
    percent = 100 * density(net[1].mask)
    net_of = f"({ticket}, {percent:.2f}% of the weights)"
    print(f"{target}  {len(content):,} bytes  {net_of}; {line(job.recipe.data)}{replaced}")
    return 0


def _usual(file: Path | None) -> str:
    """The format that the ending of a file stands for."""
    ending = _suffix(file) if file else ""
    if ending and ending not in USUAL:
        raise UserError(
            f"--out {file}: no format has the ending {ending} (known: {', '.join(USUAL)}); give --format as well"
        )
    return USUAL.get(ending, "float32")


def _telling(overrides: Sequence[str]) -> list[str]:
    """The given overrides that choose a job of an experiment that is named; those that trained it are many."""
    chosen = overrides if any("=" not in word for word in overrides) else ()
    last = {key_of(word): word for word in chosen if "=" in word}
    return sorted(word for key, word in last.items() if not key.startswith((*PLACES, "replicate")))


def _apart(jobs: Sequence[tuple[Job, Path]]) -> str:
    """The overrides that tell nets apart, such as ": replicate=1; replicate=2"; empty if there are none."""
    words = [[*(word for word in job.overrides or () if not word.startswith("replicate=")), f"replicate={replicate}"]
             for job, _ in jobs for replicate in job.replicates]  # fmt: skip
    common = set(words[0]).intersection(*words)
    told = dict.fromkeys(" ".join(word for word in each if word not in common) for each in words)
    some = [*filter(None, told)]
    return f": {'; '.join(some[:MOST])}{'; ...' if len(some) > MOST else ''}" if some else ""


def _ending(name: str) -> str:
    """The ending of the names of files of a format."""
    if name in plain.FORMATS:
        return f".{plain.FORMATS[name][1]}"
    return ".lth" if name.startswith("lth") else ".onnx"


def _suffix(file: Path) -> str:
    return file.suffix.lower()


def _check_ending(file: Path, form: str, ending: str) -> None:
    """Raise UserError for a name that ends as those of files of another format do."""
    if USUAL.get(_suffix(file), USUAL[ending]) != USUAL[ending]:
        raise UserError(f"--out {file}: format {form} is a {ending} file; name it {file.with_suffix(ending)}")


def _content(net: Net, name: str) -> bytes:
    """The bytes of the file. Formats of PyTorch need no ONNX."""
    job, trained = net
    if name in plain.FORMATS:
        return plain.FORMATS[name][0](trained, job.recipe_of(trained.ticket))
    from lth.compress.formats import file

    exported = file(trained, job.recipe, name)
    if exported is None:
        raise UserError(f"{name} needs a linear layer, and {model_name(job.columns['model'])} has none")
    if name.startswith("int") and exported.note:
        log.warning("%s", exported.note)
    return exported.content
