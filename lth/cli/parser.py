"""Argument parser of the `lth` command. Imports nothing heavy."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lth
from lth.cli.arguments import add_out, add_runs, path
from lth.cli.experiments import KEEPING, LOOKING, add_status, add_where
from lth.cli.nets import NETS, add_migrate
from lth.store.names import did_you_mean, similar

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[Any]

FORMATS = ("markdown", "csv", "parquet")


class _Exact(argparse.ArgumentParser):
    """Refuses abbreviations of options: --run of `lth figure` would be --runs of other commands."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings, allow_abbrev=False)


def parsed(given: list[str]) -> argparse.Namespace:
    """Parse arguments, with key=value overrides in any place; argparse alone accepts them in one place only. Without
    any, print the help and exit with 0.
    """
    parser = _parser()
    if given and given[0].startswith("-") and given[0] not in ("-h", "--help", "--version"):
        parser.error(f"{given[0]}: options go after the command, as in lth status --runs DIR")
    if given and not given[0].startswith("-") and given[0] not in (known := _commands(parser)):
        near = did_you_mean(similar(given[0], known))
        parser.error(f"there is no command '{given[0]}'{near} (lth --help lists them)")
    options, rest = parser.parse_known_args(given or ["--help"])
    if rest and (not hasattr(options, "overrides") or any(word.startswith("-") for word in rest)):
        words = " ".join(rest)
        if "--runs" in [word.partition("=")[0] for word in rest] and hasattr(options, "overrides"):
            words += "; root=DIR names the folder of stored results"
        parser.error(f"unrecognized arguments of lth {options.command}: {words}")
    if rest:
        options.overrides += rest
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("lth", description="Lottery tickets and model compression, reproduced.")
    parser.add_argument("--version", action="version", version=f"lth {lth.__version__}")
    commands = parser.add_subparsers(
        title="commands", dest="command", required=True, metavar="COMMAND", parser_class=_Exact
    )
    commands.add_parser("run", help="train, prune, rewind; finds and reuses stored results (lth run --help)")
    papers = (_figure, _scorecard, _report)
    for add in (add_status, _table, *LOOKING, _cost, *papers, *NETS, _speed, *KEEPING, add_migrate, _completion):
        add(commands)  # in the order of docs/commands.md
    for added in commands._choices_actions:
        command = commands.choices[added.dest]
        command.description = added.help
        if added.dest != "run":
            command.add_argument("--debug", action="store_true", help="show the whole traceback of an error")
    return parser


def options() -> dict[str, tuple[list[str], bool]]:
    """Command -> its options, such as --runs, and whether it takes the name of an experiment."""
    return {
        name: (
            [flag for action in command._actions for flag in action.option_strings if flag.startswith("--")],
            any(action.dest == "name" for action in command._actions),
        )
        for name, command in _commands(_parser()).items()
    }


def _commands(parser: argparse.ArgumentParser) -> "dict[str, argparse.ArgumentParser]":
    """Command -> its parser."""
    (commands,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    return commands.choices


def _completion(commands: "Commands") -> None:
    completion = commands.add_parser("completion", help="print a script that completes lth in bash, zsh or fish")
    completion.add_argument(
        "shell", choices=("bash", "zsh", "fish"), help='in ~/.bashrc: eval "$(lth completion bash)"; fish: | source'
    )


def _table(commands: "Commands") -> None:
    table = commands.add_parser("table", help="print a table of stored results, or the committed ones of an experiment")
    table.add_argument("name", nargs="?", help="an experiment: the value of name= in lth run (default: all)")
    add_runs(table)
    table.add_argument(
        "--format",
        choices=(*FORMATS, "shrinkbench"),
        help="markdown: mean and spread per level; shrinkbench: compression ratio and theoretical speed-up beside "
        "absolute and relative accuracy (Blalock et al. 2020); csv, parquet: one row per trained ticket "
        "(default: the ending of --out, else markdown)",
    )
    add_where(table)
    table.add_argument("--out", type=path, help="file to write (default: print)")


def _figure(commands: "Commands") -> None:
    figure = commands.add_parser("figure", help="draw an experiment's figure from stored or committed results")
    figure.add_argument(
        "name", nargs="?", help="an experiment such as frankle2019_fig4, one of your own, or all (default: list them)"
    )
    figure.add_argument("overrides", nargs="*", help="key=value overrides for --run, such as data.root=DIR")
    add_runs(figure)
    add_out(figure, "figures")
    figure.add_argument("--run", action="store_true", help="first train missing results, on all cores")
    figure.add_argument(
        "--with-committed",
        action="store_true",
        help="also draw the committed results of replicates that are not stored",
    )


def _scorecard(commands: "Commands") -> None:
    scorecard = commands.add_parser(
        "scorecard", help="compare the papers' claims with results stored under --runs, or else the committed ones"
    )
    add_runs(scorecard)
    scorecard.add_argument("--out", type=path, help="folder for scorecard.md and scorecard.csv (default: print)")


def _report(commands: "Commands") -> None:
    report = commands.add_parser("report", help="write an experiment as one self-contained HTML page")
    report.add_argument(
        "name", nargs="?", help="an experiment such as frankle2019_fig4, one of your own, or all (default: list them)"
    )
    add_runs(report)
    report.add_argument(
        "--figures", type=path, default=Path("figures"), help="folder of the tables of lth compress (default: figures)"
    )
    add_out(report, "reports")


def _cost(commands: "Commands") -> None:
    cost = commands.add_parser("cost", help="sum up what experiments cost: steps, MACs, hours, energy, CO2e, dollars")
    cost.add_argument(
        "name", nargs="*", help="experiments such as frankle2019_fig4, your own too (default: all stored ones)"
    )
    add_runs(cost)
    cost.add_argument(
        "--format", choices=FORMATS[:2], default="markdown", help="format of the table (default: markdown)"
    )
    cost.add_argument("--table", choices=["strubell2019"], help="recompute a published table from watts and hours")
    cost.add_argument("--figure", action="store_true", help="also draw accuracy against the cost of training")
    add_out(cost, "figures")
    named = "an entry of the table lth/analysis/cost/tables/{}.yaml"
    defaults = {"region": "strubell2019", "pue": "strubell2019", "price": "cpu_core", "watts": "cpu_core"}
    for option, usual in defaults.items():
        cost.add_argument(f"--{option}", default=usual, help=f"{named.format(option)} (default: {usual})")
    cost.add_argument("--tables", type=path, help="a YAML file with your own tables, which add to ours or replace them")


def _speed(commands: "Commands") -> None:
    speed = commands.add_parser("speed", help="measure the engine's step time beside baselines")
    speed.add_argument(
        "--device",
        choices=["cpu", "cuda"],
        default="cpu",
        help="cpu: one ticket beside other loops; cuda: stacks of tickets beside captured loops (default: cpu)",
    )
    others = {
        "ladder": "CPU time of a ladder of LeNet, level by level, instead",
        "densities": "training and inference by several methods against the share of the weights, instead",
        "store": "time and memory of table, run, plan and figure against stored rows (10 minutes), instead",
        "all": "the step times and all of these",
    }
    for name, what in others.items():
        speed.add_argument(f"--{name}", action="store_true", help=what)
    speed.add_argument("--out", type=path, help="folder to write speed.md and the files of --densities to")
