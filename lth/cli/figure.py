"""`lth figure`: the figure of an experiment and the tables that it is drawn from."""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import ModuleType

from lth import UserError
from lth.analysis import committed, plot, registry, results, summary
from lth.cli.console import for_each, log_to_console, offer
from lth.cli.override import key_of
from lth.store.file import OTHER_OUT, make_folder

REPLICATES = "replicate=1,2,3"
# Overrides that --run refuses, since no figure of the experiment would show what they train -> what to use instead.
ELSEWHERE = {
    "root": "--runs names the folder of results",
    "name": "lth run trains under another name, and lth plot draws it",
    "experiment": "name the experiment before --run; lth run -m experiment=... trains some of its configurations",
    "debug": "lth run experiment=... debug=true is a trial",
}


def main(arguments: argparse.Namespace) -> int:
    """Draw one figure, or all; with --run train missing results first. Returns the exit code."""
    log_to_console(stderr=True)
    if arguments.name is None and arguments.run:
        raise UserError("--run: name the experiment that it trains, or all")
    if arguments.name is None:
        return offer(registry.listing(arguments.runs), "figure", "draws")
    if arguments.overrides and not arguments.run:
        raise UserError(f"{' '.join(arguments.overrides)}: overrides are for what --run trains; without it a figure is "
                        "drawn from what is stored. Add --run")  # fmt: skip
    return for_each("figure", registry.select(arguments.name, "figure", arguments.runs), partial(_one, arguments))


def _one(arguments: argparse.Namespace, name: str) -> int:
    experiment = registry.load(name)
    if arguments.run:
        make_folder(arguments.out, OTHER_OUT)  # before what takes long
        if code := _train(experiment, name, arguments.runs, arguments.overrides):
            return code
    _draw(experiment, name, arguments)
    return 0


def _train(experiment: ModuleType, name: str, runs: Path, overrides: Sequence[str]) -> int:
    from lth.cli import config

    if not registry.arms(name):
        raise UserError(f"{name} is an experiment of your own, without a configuration of that name: leave out --run, "
                        "and train with the lth run that began it")  # fmt: skip
    for override in overrides:
        if remedy := ELSEWHERE.get(key_of(override)):
            raise UserError(f"{override}: the figure would be drawn without what this trains; {remedy}")
    replicates = [] if any(key_of(override) == "replicate" for override in overrides) else [REPLICATES]
    configurations = [arm for each in registry.drawn_with(experiment, name) for arm in registry.arms(each)]
    given = [
        f"experiment={','.join(configurations)}",
        f"root={config.quoted(str(runs))}",
        *replicates,
    ]
    return config.main(["-m", *given, *overrides])


def _draw(experiment: ModuleType, name: str, arguments: argparse.Namespace) -> None:
    runs, out = arguments.runs, arguments.out
    rows, evaluations = results.of(experiment, name, runs, with_committed=arguments.with_committed)
    files = plot.save(results.figure_of(experiment, name, runs, rows, evaluations), out, name)
    own = rows[rows["experiment"] == name]
    text = summary.markdown(own, at_end=True)
    written = {
        "csv": own.dropna(axis=1, how="all").to_csv(index=False),
        "md": f"{text}\n",
        "parquet": evaluations[evaluations["experiment"] == name].to_parquet(index=False),
    }
    files += committed.write(out, {f"{name}.{kind}": data for kind, data in written.items()})
    if len(own) < len(rows):
        text = summary.markdown(rows, at_end=True)
    elif sys.stdout.isatty():
        text = summary.clipped(text, str(out / f"{name}.md"))
    print(f"{text}\n", *files, sep="\n")
