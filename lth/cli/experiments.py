"""Arguments of the commands that look at stored experiments, and keep them in order. Imports nothing heavy."""

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lth.cli.arguments import add_out, add_runs, count, path, share

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[Any]

STORED = "a stored experiment: the value of name= in lth run"
OR_OURS = f"{STORED}; or one of lth's own, of which results are committed"
WHERE = "only rows with this value, such as level=3 or criterion=magnitude,movement; again for further keys"


def _plot(commands: "Commands") -> None:
    plot = _command(commands, "plot", "draw any column of an experiment's results over any other", experiment=OR_OURS)
    plot.add_argument(
        "--x",
        default="density",
        help="density, step, macs, seconds, bytes (of quantized nets) or any column of lth table (default: density)",
    )
    plot.add_argument(
        "--y",
        help="accuracy, final_accuracy, validation_accuracy, loss, early_stop_step or any column (default: accuracy, "
        "or the metric of another task)",
    )
    plot.add_argument(
        "--by",
        type=_words,
        default=[],
        help="columns that name the lines, such as criterion,rewind.step (default: all)",
    )
    plot.add_argument("--rows", help="a column; each of its values has a panel of its own")
    _rows(plot)
    add_out(plot, "figures")


def _compare(commands: "Commands") -> None:
    compare = _command(
        commands,
        "compare",
        "compare configurations, branches or experiments: differences within each replicate",
        nargs="+",
        experiment=OR_OURS,
    )
    compare.add_argument(
        "--at", type=share, help="density, at the nearest level of the baseline, such as 0.2 or 20%% (default: all)"
    )
    compare.add_argument(
        "--against", action="append", default=[], help="the baseline, such as criterion=random (default: the first)"
    )
    compare.add_argument(
        "--y", help="accuracy (default, or the metric of another task), loss, early_stop_step or any column"
    )
    _rows(compare)


def _best(commands: "Commands") -> None:
    best = _command(
        commands,
        "best",
        "rank configurations and levels by validation data, and report the test set",
        experiment=OR_OURS,
    )
    best.add_argument("--by", default="validation", help="validation (the metric) or loss (default: validation)")
    best.add_argument("--at-most", type=share, help="only nets of at most this density, such as 0.2 or 20%%")
    best.add_argument("--top", type=count, default=10, help="how many to list (default: 10)")
    _rows(best)


def _show(commands: "Commands") -> None:
    show = commands.add_parser("show", help="show one stored training: recipe, files, mask, learning curve")
    show.add_argument("digest", help="the beginning of a digest, as in the column digest of lth table --format csv")
    add_runs(show)


def _rename(commands: "Commands") -> None:
    rename = _command(commands, "rename", "give a stored experiment another name")
    rename.add_argument("new", help="the new name")
    rename.add_argument("--merge", action="store_true", help="put it together with one that has this name already")


def _delete(commands: "Commands") -> None:
    delete = _command(commands, "delete", "delete an experiment, and the trainings that no other experiment needs")
    delete.add_argument("--running", action="store_true", help="even if one of its jobs is running, or was killed")
    _dry(delete)


def _gc(commands: "Commands") -> None:
    gc = commands.add_parser(
        "gc",
        help="delete the trainings that no experiment names (those stored from Python among them), and the jobs that "
        "failed before they trained anything",
    )
    gc.add_argument("--partial", action="store_true", help="delete interrupted trainings too, which begin anew then")
    _dry(gc)
    add_runs(gc)


def _pack(commands: "Commands") -> None:
    pack = _command(commands, "pack", "write an experiment to one small file, without weights, for another machine")
    pack.add_argument("--out", type=path, help="the file (default: the experiment's name and .pack)")


def _unpack(commands: "Commands") -> None:
    unpack = commands.add_parser("unpack", help="add the trainings of a file of lth pack to the stored ones")
    unpack.add_argument("file", type=path, help="the file")
    add_runs(unpack)


def add_status(commands: "Commands") -> None:
    """Add `lth status`."""
    explained = "say which jobs are running, waiting, dead, failed, stopped and done"
    status = _command(commands, "status", explained, nargs="*")
    status.add_argument("--watch", action="store_true", help="look again every two seconds, until Ctrl-C")
    status.add_argument("--format", choices=("text", "csv", "json"), default="text", help="default: text")


LOOKING: tuple[Callable[["Commands"], None], ...] = (_plot, _compare, _best, _show)
KEEPING: tuple[Callable[["Commands"], None], ...] = (_pack, _unpack, _rename, _delete, _gc)


def _command(
    commands: "Commands", name: str, explained: str, nargs: str | None = None, experiment: str = STORED
) -> argparse.ArgumentParser:
    """A command whose first argument is an experiment, or several."""
    command: argparse.ArgumentParser = commands.add_parser(name, help=explained)
    command.add_argument("name", nargs=nargs, help=experiment)
    add_runs(command)
    return command


def add_where(command: argparse.ArgumentParser) -> None:
    """Add `--where`, which chooses rows."""
    command.add_argument("--where", action="append", default=[], metavar="KEY=VALUE", help=WHERE)


def _rows(command: argparse.ArgumentParser) -> None:
    add_where(command)
    command.add_argument("--format", choices=("markdown", "csv"), default="markdown", help="of the printed table")


def _dry(command: argparse.ArgumentParser) -> None:
    either = command.add_mutually_exclusive_group()
    either.add_argument("--dry-run", action="store_true", help="say what would be deleted (default)")
    either.add_argument("--yes", action="store_true", help="delete it")


def _words(text: str) -> list[str]:
    return [word for word in text.split(",") if word]
