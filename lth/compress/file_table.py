"""The table of `lth compress`: bytes, accuracy, latency and memory of the files of stored nets."""

import logging
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pandas as pd

from lth.analysis.markdown import aligned
from lth.analysis.plot.labels import model_name
from lth.analysis.results import reduction
from lth.analysis.summary import mean_and_spread
from lth.compress.formats import BITS, files
from lth.compress.latency import check
from lth.compress.measurement import COLUMNS, measured
from lth.compress.nets import Net, by_run, labels, variants
from lth.compress.tables import where
from lth.job import Job

SHOWN = {
    "bytes": ("bytes", 1, 0),
    "times smaller": ("smaller", 1, 1),
    "accuracy %": ("accuracy", 100, 2),
    "points above dense": ("points", 1, 2),
    "ms, batch 1": ("ms_1", 1, 3),
    "ms, batch 128": ("ms_128", 1, 2),
    "times faster, 128": ("faster", 1, 1),
    "peak MB": ("memory_mb", 1, 1),
}
log = logging.getLogger("lth")
OPTIONAL = {"configuration", "note"}
MOVED = ("Level 0 is not dense: the updater of the configuration prunes during training, so that no accuracy is "
         "compared with a dense net's; sizes and times are compared with the float32 file of level 0.")  # fmt: skip


def measure(nets: Iterable[Net], bits: Sequence[int] = BITS) -> pd.DataFrame:
    """One row for each file of each net: bytes, accuracy in [0, 1], milliseconds, megabytes. smaller and faster (at
    batch 128) compare it with the float32 file of the same run's level 0, and points (of accuracy) if that is dense,
    which under an updater it is not; NaN without that. variant: what tells the configuration from others of the table.

    The files of a run (one replicate of a job) are timed together. A file that could not be written or run has no
    numbers, and a note that says why.
    """
    parts, jobs = [], dict[str, Job]()
    for run in by_run(nets):
        jobs.setdefault(f"{run[0][0].name} {run[0][0].identity}", run[0][0])
        parts.append(_compared(pd.DataFrame(_rows(run, bits))))
    table, known = pd.concat(parts, ignore_index=True), variants(jobs.values())
    names = [known[key] for key in zip(table["experiment"], table["config"], strict=True)]
    table.insert(table.columns.get_loc("config") + 1, "variant", pd.Series(names, dtype="str"))
    return table


def failed(table: pd.DataFrame) -> bool:
    """True if a file could not be written or run."""
    return bool(table["bytes"].isna().any())


def markdown(table: pd.DataFrame) -> str:
    """Mean and sample standard deviation over replicates for each net, configuration and format. The columns
    `configuration` and `note` are left out where they are empty.
    """
    keys = [key for key in ("model", "config", "level", "format") if key in table]
    lines = [_line(part) for _, part in table.groupby(keys, sort=False)]
    header = ["net", "configuration", "% of weights", "format", *SHOWN, "n", "note"]
    shown = [i for i, title in enumerate(header) if title not in OPTIONAL or any(line[i] for line in lines)]
    text = aligned([[line[i] for i in shown] for line in [header, *lines]])
    return f"{text}\n\n{MOVED}" if _moved(table) else text


def _line(part: pd.DataFrame) -> list[str]:
    """Cells of one line: labels, means and spreads of what succeeded, n, note."""
    first, good = part.iloc[0], part.dropna(subset=["bytes"])
    names = [model_name(first["model"]), str(first.get("variant", ""))]
    cells = [_cell(good, *shown) for shown in SHOWN.values()]
    notes = "; ".join(dict.fromkeys(note for note in part.get("note", []) if note))
    return [*names, f"{100 * part['density'].mean():.2f}", str(first["format"]), *cells, str(len(good)), notes]


def _cell(part: pd.DataFrame, column: str, scale: float, digits: int) -> str:
    known = part[column].dropna()
    return mean_and_spread(scale * known, digits) if len(known) else "-"


def _moved(table: pd.DataFrame) -> bool:
    first = table[table["level"] == 0]
    return bool((first["density"] < 1).any())


def _rows(run: Sequence[Net], bits: Sequence[int]) -> Iterator[dict[str, Any]]:
    recipe, name = run[0][0].recipe, run[0][0].name
    check(recipe.task)
    levels = ", ".join(str(trained.ticket.level) for _, trained in run)
    log.info("%s, replicate %d: writing and measuring files, level %s", name, run[0][1].ticket.replicate, levels)
    formats = [files(trained, recipe, bits) for _, trained in run]
    found = {(index, kind): each for index, of_net in enumerate(formats) for kind, each in of_net.items()}
    columns = measured(found, recipe)
    for index, kind in found:
        job, trained = run[index]
        less = reduction(name, {**job.columns, "steps": recipe.steps, "branch": trained.ticket.branch})
        yield {
            **labels(job, trained),
            "config": job.columns["config"],
            "format": kind,
            **dict.fromkeys(COLUMNS, math.nan),
            **columns[index, kind],
            **({"reduced": less} if less else {}),
            **where(),
        }


def _compared(table: pd.DataFrame) -> pd.DataFrame:
    first = table[(table["level"] == 0) & (table["format"] == "float32")]
    size, milliseconds, share = first[["bytes", "ms_128", "accuracy"]].squeeze() if len(first) else [math.nan] * 3
    return table.assign(
        smaller=size / table["bytes"],
        faster=milliseconds / table["ms_128"],
        points=math.nan if _moved(table) else 100 * (table["accuracy"] - share),
    )
