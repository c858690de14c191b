"""`lth compress`: stored nets as files, what each is worth, and the front of them; `lth export`: one of these files."""

import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from rich.progress import track
from torch import nn

from lth import command, deploy, export, plot, run
from lth.check import ConfigError
from lth.compact import compact
from lth.data import normalized
from lth.environment import commit, environment, machine
from lth.imp import batch
from lth.job import Job, stored
from lth.recipe import Recipe
from lth.store import Store
from lth.store.file import write_whole
from lth.table import mean_and_spread, origin
from lth.ticket import Trained, masked

BITS = (5, 4)
CALIBRATION = 1000
ONNX = ("float32", "float16", "int8", "int4", "compact", "compact-int8")

log = logging.getLogger("lth")


@dataclass(frozen=True)
class File:
    """content: the bytes of the file; onnx: what ONNX Runtime runs of it, the file itself or what it unpacks to."""

    content: bytes
    onnx: bytes


def files(trained: Trained, recipe: Recipe, bits: Iterable[int] = BITS) -> dict[str, File]:
    """Format -> file: ONNX in float32, float16, int8 and, where a layer has it, int4; of tickets the float32 and int8
    of the net without what is idle ("compact", see `lth.compact`); and the small file of `lth.codec`, lossless ("lth")
    and with so many bits a weight ("lth-5").
    """
    idle = not all(kept.all() for kept in trained.ticket.mask.values())
    names = [name for name in (*ONNX, *(_lth(k) for k in (None, *bits))) if idle or not name.startswith("compact")]
    makers = _makers(trained, recipe)
    return {name: made for name in names if (made := makers[name]())}


def file(trained: Trained, recipe: Recipe, name: str) -> File | None:
    """One of `files`; None where no layer of the net has it. Raises ValueError."""
    makers = _makers(trained, recipe)
    if name not in makers:
        raise ValueError(f"there is no format {name!r}: choose {', '.join(ONNX)}, lth, or lth-1 to lth-8")
    return makers[name]()


def _makers(trained: Trained, recipe: Recipe) -> dict[str, Callable[[], File | None]]:
    """Format -> what makes its file; what several are made from is made once, when it is needed."""
    plain = cache(lambda: export.float32(masked_net(trained, recipe), recipe.data.shape))
    small = cache(lambda: export.float32(_compact(trained, recipe), recipe.data.shape))
    images = cache(lambda: _calibration(trained, recipe))
    onnx: dict[str, Callable[[], bytes | None]] = {
        "float32": plain,
        "float16": lambda: export.float16(plain()),
        "int8": lambda: export.int8(plain(), images()),
        "int4": lambda: export.int4(plain()),
        "compact": small,
        "compact-int8": lambda: export.int8(small(), images()),
    }
    packed = {_lth(bits): partial(_packed, trained, recipe, bits) for bits in (None, *range(1, 9))}
    return {**{name: partial(_runnable, make) for name, make in onnx.items()}, **packed}


def _lth(bits: int | None) -> str:
    return "lth" if bits is None else f"lth-{bits}"


def _runnable(make: Callable[[], bytes | None]) -> File | None:
    content = make()
    return None if content is None else File(content, content)


def _packed(trained: Trained, recipe: Recipe, bits: int | None) -> File:
    content = deploy.pack(trained, recipe, bits)
    net, _ = deploy.unpack(content, recipe.model)
    return File(content, export.float32(net, recipe.data.shape))


def masked_net(trained: Trained, recipe: Recipe) -> nn.Module:
    """f(x; m * W_T)."""
    net = recipe.net()
    net.load_state_dict(masked(trained.weights, trained.ticket.mask))
    return net


def _compact(trained: Trained, recipe: Recipe) -> nn.Module:
    return compact(recipe.net(), trained.weights, trained.ticket.mask, recipe.data.shape)


def _calibration(trained: Trained, recipe: Recipe) -> torch.Tensor:
    """The first images that the replicate is trained on."""
    size = min(CALIBRATION, len(recipe.data.train))
    return batch(replace(recipe, batch_size=size), replace(trained.ticket, step=0))[0]


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


def scored(nets: Iterable[tuple[Job, Trained]], bits: Sequence[int] = BITS) -> pd.DataFrame:
    """`scores` of several nets, with smaller, faster (at batch 128; times) and points of accuracy against the float32
    file of the same replicate's dense net; not known where that is not among them.
    """
    table = pd.DataFrame([row for job, trained in nets for row in scores(job, trained, bits)])
    keys = ["experiment", "model", "data", "replicate"]
    dense = table[(table["level"] == 0) & (table["format"] == "float32")].set_index(keys)
    base = table[keys].join(dense[["bytes", "ms_128", "accuracy"]], on=keys)
    return table.assign(
        smaller=base["bytes"] / table["bytes"],
        faster=base["ms_128"] / table["ms_128"],
        points=100 * (table["accuracy"] - base["accuracy"]),
    )


def scores(job: Job, trained: Trained, bits: Sequence[int] = BITS) -> Iterator[dict[str, Any]]:
    """A row for each file of a trained net: bytes, accuracy in [0, 1], milliseconds, megabytes."""
    recipe = job.recipe
    made = files(trained, recipe, bits)
    runnable, shape = {name: each.onnx for name, each in made.items()}, recipe.data.shape
    images, labels = normalized(recipe.data, recipe.data.test)
    alone, many = (export.latencies(runnable, shape, size) for size in (1, 128))
    for name, each in made.items():
        yield {
            "experiment": job.name,
            "model": job.columns["model"],
            "data": recipe.data.name,
            "replicate": job.replicate,
            "level": trained.ticket.level,
            "density": origin(trained.ticket)["density"],
            "format": name,
            "bytes": len(each.content),
            "accuracy": export.accuracy(each.onnx, images, labels),
            "ms_1": alone[name],
            "ms_128": many[name],
            "memory_mb": export.memory(each.onnx, shape, 128),
            **({"reduced": job.reduced} if job.reduced else {}),
            **{key: environment()[key] for key in ("machine", "commit", "date")},
        }


def markdown(table: pd.DataFrame) -> str:
    """Mean and sample deviation over replicates for each net and format."""
    shown = {
        "bytes": ("bytes", 1, 0),
        "times smaller": ("smaller", 1, 1),
        "accuracy %": ("accuracy", 100, 2),
        "points above dense": ("points", 1, 2),
        "ms, batch 1": ("ms_1", 1, 3),
        "ms, batch 128": ("ms_128", 1, 2),
        "times faster, 128": ("faster", 1, 1),
        "peak MB": ("memory_mb", 1, 1),
    }
    lines = [["net", "% of weights", "format", *shown, "n"]]
    for (model, _, name), part in table.groupby(["model", "level", "format"], sort=False):
        name_of = plot.NAMES.get(str(model), str(model))
        cells = [mean_and_spread(scale * part[column], digits) for column, scale, digits in shown.values()]
        lines.append([name_of, f"{100 * part['density'].mean():.2f}", str(name), *cells, str(len(part))])
    rule = ["---"] * len(lines[0])
    return "\n".join(f"| {' | '.join(line)} |" for line in [lines[0], rule, *lines[1:]])


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
    """The stored nets of the main line, by default the dense one and the last; jobs of which nothing is stored are
    named and left out.
    """
    nets = []
    for job, root in jobs:
        found = {t.ticket.level: t for t in stored(replace(job, branches={}, quantizations={}), Store(root))}
        if not found:
            log.warning(
                "nothing of %s, %s, replicate %d, is stored under %s", job.name, _model(job), job.replicate, root
            )
            continue
        wanted = sorted({0, max(found)}) if levels is None else levels
        if missing := [level for level in wanted if level not in found]:
            raise ValueError(
                f"level {missing[0]} of {job.name}, {_model(job)}, replicate {job.replicate}, is not stored under "
                f"{root}; stored: {', '.join(map(str, found))}"
            )
        nets += [(job, found[level]) for level in wanted]
    if not nets:
        raise ValueError("nothing is stored yet: lth run with the same words trains it")
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
