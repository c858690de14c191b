"""Argument parser of the `lth` command. Imports nothing heavy."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import lth

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

FORMATS = ("markdown", "csv", "parquet")
OVERRIDES = "the `lth run` overrides that trained it, e.g. experiment=demo replicate=1"


def parsed(given: list[str]) -> argparse.Namespace:
    """Parse arguments; argparse accepts key=value overrides in one place only, a person puts them anywhere."""
    parser = _parser()
    chosen, rest = parser.parse_known_args(given)
    if rest and (not hasattr(chosen, "overrides") or any(word.startswith("-") for word in rest)):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if rest:
        chosen.overrides += rest
    return chosen


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("lth", description="Lottery tickets and model compression, reproduced.")
    parser.add_argument("--version", action="version", version=f"lth {lth.__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    commands.add_parser("run", help="train, prune, rewind; resumes by itself (lth run --help)")
    for add in (_table, _figure, _compress, _export, _layout, _scorecard, _report, _cost, _speed, _migrate):
        add(commands)
    return parser


def _table(commands: "Commands") -> None:
    table = commands.add_parser("table", help="what is stored, as a table")
    table.add_argument("--runs", type=Path, default=Path("runs"), help="where results live (default: runs)")
    table.add_argument(
        "--format",
        choices=FORMATS,
        default="markdown",
        help="markdown: mean and spread per level; csv, parquet: one row per trained ticket (default: markdown)",
    )
    table.add_argument("--experiment", help="only this one")
    table.add_argument("--out", type=Path, help="write to this file instead of the terminal")
    table.set_defaults(command="table")


def _figure(commands: "Commands") -> None:
    figure = commands.add_parser("figure", help="draw a figure of a paper from what is stored")
    figure.add_argument("name", nargs="?", help="such as frankle2019_fig4, or all; none: list them")
    figure.add_argument("overrides", nargs="*", help="further key=value for --run, such as data.root=DIR")
    figure.add_argument("--runs", type=Path, default=Path("runs"), help="where results live (default: runs)")
    figure.add_argument("--out", type=Path, default=Path("figures"), help="where to draw to (default: figures)")
    figure.add_argument("--run", action="store_true", help="train what is missing first, on all cores")
    figure.set_defaults(command="figure")


def _compress(commands: "Commands") -> None:
    compress = commands.add_parser(
        "compress", help="stored nets as small files: bytes, accuracy, latency and memory of each, and their figure"
    )
    compress.add_argument("overrides", nargs="*", help=f"{OVERRIDES}; several jobs (replicate=1,2,3) are averaged")
    compress.add_argument("--levels", type=_numbers, help="such as 0,15 (default: the dense net and the last)")
    compress.add_argument("--bits", type=_numbers, default=[5, 4], help="of lth files (default: 5,4)")
    compress.add_argument("--out", type=Path, default=Path("figures"), help="where to write to (default: figures)")
    compress.set_defaults(command="compress")


def _export(commands: "Commands") -> None:
    export = commands.add_parser("export", help="one stored net as a file: ONNX, or the compact one of lth")
    export.add_argument("overrides", nargs="*", help=OVERRIDES)
    export.add_argument("--level", type=int, default=0, help="prunings of the net (default: 0, the dense one)")
    export.add_argument(
        "--format",
        default="float32",
        help="ONNX: float32, float16, int8, int4, compact, compact-int8; small files: lth, lth-1 to lth-8 (bits)",
    )
    export.add_argument("--out", type=Path, help="the file (default: named after what is in it)")
    export.set_defaults(command="export")


def _layout(commands: "Commands") -> None:
    layout = commands.add_parser(
        "layout", help="stored nets as dense, sparse and smaller ones: parameters, MACs, latency, accuracy of each"
    )
    layout.add_argument("overrides", nargs="*", help=f"{OVERRIDES}; several jobs are compared, replicates averaged")
    layout.add_argument("--levels", type=_numbers, help="such as 3,15, beside the dense net (default: all)")
    layout.add_argument("--out", type=Path, default=Path("figures"), help="where to write to (default: figures)")
    layout.set_defaults(command="layout")


def _scorecard(commands: "Commands") -> None:
    scorecard = commands.add_parser(
        "scorecard", help="what the papers claim beside what came out: from --runs, or what comes with lth"
    )
    scorecard.add_argument("--runs", type=Path, default=Path("runs"), help="where results live (default: runs)")
    scorecard.add_argument("--out", type=Path, help="a folder for scorecard.md and scorecard.csv")
    scorecard.set_defaults(command="scorecard")


def _report(commands: "Commands") -> None:
    report = commands.add_parser("report", help="an experiment as one page of HTML, to open without a network")
    report.add_argument("name", nargs="?", help="such as frankle2019_fig4, or all; none: list them")
    report.add_argument("--runs", type=Path, default=Path("runs"), help="where results live (default: runs)")
    report.add_argument(
        "--figures", type=Path, default=Path("figures"), help="where tables of files are (default: figures)"
    )
    report.add_argument("--out", type=Path, default=Path("reports"), help="where to write to (default: reports)")
    report.set_defaults(command="report")


def _cost(commands: "Commands") -> None:
    cost = commands.add_parser("cost", help="what experiments cost: steps, compute, hours, energy, CO2e, dollars")
    cost.add_argument("name", nargs="*", help="experiments, such as frankle2019_fig4 (default: all that are stored)")
    cost.add_argument("--runs", type=Path, default=Path("runs"), help="where results live (default: runs)")
    cost.add_argument("--format", choices=FORMATS[:2], default="markdown", help="(default: markdown)")
    cost.add_argument("--table", choices=["strubell2019"], help="a published table, recomputed from watts and hours")
    cost.add_argument("--figure", action="store_true", help="draw accuracy against the cost of training, too")
    cost.add_argument("--out", type=Path, default=Path("figures"), help="where to draw to (default: figures)")
    named = "an entry of the table lth/cost/tables/{}.yaml"
    defaults = {"region": "strubell2019", "pue": "strubell2019", "price": "cpu_core", "watts": "cpu_core"}
    for option, usual in defaults.items():
        cost.add_argument(f"--{option}", default=usual, help=f"{named.format(option)} (default: {usual})")
    cost.add_argument("--tables", type=Path, help="a YAML file with tables of your own, beside ours or in their place")
    cost.set_defaults(command="cost")


def _speed(commands: "Commands") -> None:
    speed = commands.add_parser("speed", help="measure a step of the engine beside named baselines")
    speed.set_defaults(command="speed")


def _migrate(commands: "Commands") -> None:
    migrate = commands.add_parser("migrate", help="rename trainings that version 0.1 stored, so that they are found")
    migrate.add_argument("overrides", nargs="*", help=OVERRIDES)
    migrate.set_defaults(command="migrate")


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]
