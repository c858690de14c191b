"""Common parts of all figures: style, error bars, the note under a figure, saving. Imports matplotlib on first use."""

import hashlib
import io
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

import lth
from lth.analysis.committed import note as note_sums
from lth.analysis.plot.counts import counts, several
from lth.analysis.plot.labels import data_name, model_name
from lth.analysis.plot.legend import any_script, uncover
from lth.analysis.plot.stamp import reductions
from lth.file import read_whole, write_whole
from lth.store.file import OTHER_OUT, make_folder
from lth.store.record import OWN_STEPS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STYLE = Path(__file__).parent / "paper.mplstyle"
LOOKS = {  # color and marker of a branch
    "ticket": ("#1f4e9c", "o"),
    "reinitialize": ("#d1495b", "s"),
    "random_sparsity": ("#8d6a9f", "v"),
    "shuffle": ("#5b8c5a", "^"),
    "invert": ("#6c757d", "X"),
    "reset": ("#c08a1e", "D"),
    "edge_popup": ("#2a9d8f", "P"),
}
SPREAD = ["mean", "min", "max"]  # of a point: its place, and the ends of its bar
MARKS = "osv^DPX<>p*h"  # of lines that no branch tells apart
# Dashes of branches where colors tell lines apart; the first branch is the ticket.
DASHES = ("--", ":", "-.", (0, (6, 1, 1, 1, 1, 1)), (0, (8, 3)), (0, (1, 3)), (0, (3, 1, 1, 1)))
AGAIN = (0, (3, 2))  # dashes of the tickets whose colors others have
TOLD_APART = 10  # colors that differ at a glance, C0 to C9
OTHER_STEPS = {"rewind.steps": "pruned nets", OWN_STEPS: "some branches"}
HEAD = 85  # characters in a line of the title of a figure of 10 inches
PERCENT = 100.0
FOOT = 170  # characters in a line of the note under a figure of 10 inches


@contextmanager
def new_figure(
    width: float, height: float, rows: int = 1, columns: int = 1, **shared: Any
) -> "Iterator[tuple[Figure, Any]]":
    """A figure of this size in inches and its panels, an array (rows, columns), in the style of the paper."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(matplotlib.rc_params_from_file(STYLE, use_default_template=False)):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure, figure.subplots(rows, columns, squeeze=False, **shared)


def cycled(at: int) -> str:
    """The color of the line at this place; after TOLD_APART lines they begin again."""
    return f"C{at % TOLD_APART}"


def look(at: int | None, branch: str, places: Sequence[str]) -> dict[str, Any]:
    """Style of the line of a branch. at: place of its name, if there are several: its color tells the name, its dashes
    the branch, and marks of tickets are filled; None: its color tells the branch, its own if all of places have one,
    since others may be near it. places: every branch, in order.
    """
    if at is None:
        color, marker = LOOKS[branch] if {*places} <= LOOKS.keys() else _cycled(places.index(branch))
        return {"color": color, "marker": marker, "linestyle": "-" if branch == "ticket" else "--"}
    color, marker = _cycled(at)
    if branch == "ticket":
        return {"color": color, "marker": marker, "linestyle": "-" if at < TOLD_APART else AGAIN}
    turns = 3 * (at // TOLD_APART)  # where colors begin again
    dashes = DASHES[(places.index(branch) - 1 + turns) % len(DASHES)]
    return {"color": color, "marker": marker, "linestyle": dashes, "markerfacecolor": "none"}


def _cycled(at: int) -> tuple[str, str]:
    return cycled(at), MARKS[at % len(MARKS)]


def bars(values: pd.DataFrame) -> list[pd.Series] | None:
    """Lengths of bars from mean to min and max (columns SPREAD; rounding may put it outside); None if all are 0."""
    if (values["max"] <= values["min"]).all():
        return None
    return [(values["mean"] - values["min"]).clip(lower=0), (values["max"] - values["mean"]).clip(lower=0)]


def errorbar(axes: "Axes", x: Any, values: pd.DataFrame, **style: Any) -> None:
    """Draw means at x with bars from minimum to maximum. values: columns SPREAD."""
    usual = {"markersize": 4, "capsize": 2, "linewidth": 1.3}
    axes.errorbar(x, values["mean"], yerr=bars(values), **usual | style)


def finish(figure: "Figure", title: str, table: pd.DataFrame, notes: Iterable[str] = (), spread: str = "bars") -> None:
    """Set the title and the note under the figure: settings, n, machines, commits, reductions, notes. spread: what runs
    from minimum to maximum over the trainings of a point.
    """
    figure.suptitle(balanced(title, round(HEAD * figure.get_figwidth() / 10)))
    spreads = [f"{spread} from minimum to maximum"] if spread and several(table) else []
    note(figure, [", ".join(_settings(table)), counts(table), *spreads, origin(table), *reductions(table), *notes])
    for axes in figure.axes:
        _at_most_100(axes)
    uncover(figure)


def _at_most_100(axes: "Axes") -> None:
    """Let an axis of accuracies, none of which is above 100%, end just above it."""
    bottom, top = axes.get_ylim()
    if axes.get_ylabel().endswith("(%)") and axes.dataLim.y1 <= PERCENT < top:
        axes.set_ylim(top=PERCENT + 0.02 * (PERCENT - bottom))


def balanced(text: str, width: int) -> str:
    """A text in lines of at most `width` characters, no more of them than needed, and of much the same length."""
    wrapped = {w: textwrap.wrap(text, w, break_long_words=False) for w in range(1, width + 1)}
    return "\n".join(next(lines for lines in wrapped.values() if len(lines) <= len(wrapped[width])))


def note(figure: "Figure", parts: list[str]) -> None:
    """Put these parts under the figure, small and gray."""
    width = round(FOOT * figure.get_figwidth() / 10)
    figure.supxlabel(textwrap.fill("; ".join(parts), width), fontsize=7, color="gray")


def origin(table: pd.DataFrame) -> str:
    """Machines and commits that the rows come from."""
    devices = table["device"] if "device" in table else [""] * len(table)
    pairs = zip(table["machine"], devices, strict=True)
    machines = {f"{machine} with a GPU" if str(device).startswith("cuda") else machine for machine, device in pairs}
    commits = sorted(table["commit"].unique())
    changed = " (+: and changes that were not committed)" if any(commit.endswith("+") for commit in commits) else ""
    return f"{' / '.join(sorted(machines))}; commit {', '.join(commits)}{changed}"


def _settings(table: pd.DataFrame) -> list[str]:
    """Each combination in the table, such as "LeNet-300-100 on MNIST, 50,000 steps", and what is trained for others:
    pruned nets that go on (rewind.steps) and branches.
    """
    found = []
    for (model, data, steps), rows in table.groupby(["model", "data", "steps"], sort=False):
        given = {what: _numbers(rows, column) for column, what in OTHER_STEPS.items()}
        others = [f"{what} {' or '.join(own)}" for what, own in given.items() if own]
        where = f"{model_name(model)} on {data_name(data)}"
        behind = f" ({'; '.join(others)})" if others else ""
        found.append(f"{where}, {steps:,} steps{behind}")
    return found


def _numbers(rows: pd.DataFrame, column: str) -> list[str]:
    numbers = rows[column].dropna().unique() if column in rows else []
    return [f"{int(number):,}" if number else "not trained" for number in sorted(numbers)]


def save(figure: "Figure", folder: Path, name: str, key: str = "") -> list[Path]:
    """Write PNG and PDF, each whole or not at all, with the key in their metadata; returns the paths."""
    make_folder(folder, OTHER_OUT)
    files, keys = _files(folder, name), {"Keywords": key} if key else {}
    for file in files:
        drawing = io.BytesIO()  # since matplotlib hides the error of a full disk
        with any_script():
            metadata = keys | ({"CreationDate": None} if file.suffix == ".pdf" else {})
            figure.savefig(drawing, format=file.suffix[1:], dpi=150, metadata=metadata)
        write_whole(file, drawing.getvalue())
        figure.set_layout_engine("none")  # keeps the layout: to find it is a quarter of the time
    note_sums(files)
    return files


def drawn(folder: Path, name: str, key: str) -> list[Path]:
    """The files of a figure if they were saved with this key, which is of digits; else none."""
    files = _files(folder, name)
    with suppress(OSError):
        return files if all(key.encode() in read_whole(file) for file in files) else []
    return []


def key(*parts: str | pd.DataFrame) -> str:
    """A digest of what a figure is drawn from."""
    sha = hashlib.sha256(repr((lth.__version__, version("matplotlib"))).encode())
    for part in parts:
        if isinstance(part, pd.DataFrame):
            sha.update(repr([*part.columns]).encode())
            sha.update(pd.util.hash_pandas_object(part, index=False).to_numpy().tobytes())
        else:
            sha.update(repr(part).encode())
    return sha.hexdigest()


def _files(folder: Path, name: str) -> list[Path]:
    return [folder / f"{name}.png", folder / f"{name}.pdf"]
