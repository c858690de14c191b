"""The command `lth` and its subcommands; each imports what it needs when it is known to be wanted."""

import argparse
import gc
import sys
from pathlib import Path

import lth

FORMATS = ("markdown", "csv", "parquet")
WORDS = "the words of lth run that trained it, such as experiment=demo replicate=1"


def entry() -> int:
    """`main` as the whole of a process."""
    code = main()
    gc.freeze()  # the last collection would go through all objects of PyTorch for more than a second, to free none
    return code


def main(arguments: list[str] | None = None) -> int:
    """Run `lth` with these arguments; returns the exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        if given[:1] == ["run"]:  # Hydra reads what is behind it
            from lth import run

            return run.main(given[1:])
        chosen = _parsed(given)
        return int(chosen.command(chosen))
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        print(f"lth {given[0]}: {error}", file=sys.stderr)
        return 1


def _parsed(given: list[str]) -> argparse.Namespace:
    """argparse takes key=value words only from one place; a person puts them behind any option."""
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
    table.set_defaults(command=_table)

    figure = commands.add_parser("figure", help="draw a figure of a paper from what is stored")
    figure.add_argument("name", nargs="?", help="such as frankle2019_fig4, or all; none: list them")
    figure.add_argument("overrides", nargs="*", help="further key=value for --run, such as data.root=DIR")
    figure.add_argument("--runs", type=Path, default=Path("runs"), help="where results live (default: runs)")
    figure.add_argument("--out", type=Path, default=Path("figures"), help="where to draw to (default: figures)")
    figure.add_argument("--run", action="store_true", help="train what is missing first, on all cores")
    figure.set_defaults(command=_figure)

    compress = commands.add_parser(
        "compress", help="stored nets as small files: bytes, accuracy, latency and memory of each, and their figure"
    )
    compress.add_argument("overrides", nargs="*", help=f"{WORDS}; several jobs (replicate=1,2,3) are averaged")
    compress.add_argument("--levels", type=_numbers, help="such as 0,15 (default: the dense net and the last)")
    compress.add_argument("--bits", type=_numbers, default=[5, 4], help="of lth files (default: 5,4)")
    compress.add_argument("--out", type=Path, default=Path("figures"), help="where to write to (default: figures)")
    compress.set_defaults(command=_compress)

    export = commands.add_parser("export", help="one stored net as a file: ONNX, or the compact one of lth")
    export.add_argument("overrides", nargs="*", help=WORDS)
    export.add_argument("--level", type=int, default=0, help="prunings of the net (default: 0, the dense one)")
    export.add_argument(
        "--format",
        default="float32",
        help="ONNX: float32, float16, int8, int4, compact, compact-int8; small files: lth, lth-1 to lth-8 (bits)",
    )
    export.add_argument("--out", type=Path, help="the file (default: named after what is in it)")
    export.set_defaults(command=_export)

    layout = commands.add_parser(
        "layout", help="stored nets as dense, sparse and smaller ones: parameters, MACs, latency, accuracy of each"
    )
    layout.add_argument("overrides", nargs="*", help=f"{WORDS}; several jobs are compared, replicates averaged")
    layout.add_argument("--levels", type=_numbers, help="such as 3,15, beside the dense net (default: all)")
    layout.add_argument("--out", type=Path, default=Path("figures"), help="where to write to (default: figures)")
    layout.set_defaults(command=_layout)

    scorecard = commands.add_parser(
        "scorecard", help="what the papers claim beside what came out: from --runs, or what comes with lth"
    )
    scorecard.add_argument("--runs", type=Path, default=Path("runs"), help="where results live (default: runs)")
    scorecard.add_argument("--out", type=Path, help="a folder for scorecard.md and scorecard.csv")
    scorecard.set_defaults(command=_scorecard)

    report = commands.add_parser("report", help="an experiment as one page of HTML, to open without a network")
    report.add_argument("name", nargs="?", help="such as frankle2019_fig4, or all; none: list them")
    report.add_argument("--runs", type=Path, default=Path("runs"), help="where results live (default: runs)")
    report.add_argument(
        "--figures", type=Path, default=Path("figures"), help="where tables of files are (default: figures)"
    )
    report.add_argument("--out", type=Path, default=Path("reports"), help="where to write to (default: reports)")
    report.set_defaults(command=_report)

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
    cost.set_defaults(command=_cost)

    speed = commands.add_parser("speed", help="measure a step of the engine beside named baselines")
    speed.set_defaults(command=_speed)
    return parser


def _table(chosen: argparse.Namespace) -> int:
    from lth import table

    rows = table.tickets(chosen.runs, chosen.experiment)
    if rows.empty:
        print(
            f"lth table: nothing is stored under {chosen.runs}; lth run trains, --runs names another folder",
            file=sys.stderr,
        )
        return 1
    if chosen.format == "markdown":
        data = f"{table.markdown(rows)}\n".encode()
    else:
        data = rows.to_csv(index=False).encode() if chosen.format == "csv" else rows.to_parquet(index=False)
    if chosen.out is not None:
        chosen.out.write_bytes(data)
    elif chosen.format == "parquet" and sys.stdout.isatty():
        print("lth table: parquet is not for a terminal; name a file with --out", file=sys.stderr)
        return 2
    else:
        sys.stdout.buffer.write(data)
    return 0


def _figure(chosen: argparse.Namespace) -> int:
    from lth import figure

    return figure.main(chosen.name, chosen.runs, chosen.out, chosen.overrides, train=chosen.run)


def _compress(chosen: argparse.Namespace) -> int:
    from lth import compress

    return compress.main(chosen.overrides, chosen.out, chosen.levels, chosen.bits)


def _export(chosen: argparse.Namespace) -> int:
    from lth import compress

    return compress.write(chosen.overrides, chosen.level, chosen.format, chosen.out)


def _layout(chosen: argparse.Namespace) -> int:
    from lth import layout

    return layout.main(chosen.overrides, chosen.out, chosen.levels)


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


def _scorecard(chosen: argparse.Namespace) -> int:
    from lth import scorecard

    return scorecard.main(chosen.runs, chosen.out)


def _report(chosen: argparse.Namespace) -> int:
    from lth import report

    return report.main(chosen.name, chosen.runs, chosen.figures, chosen.out)


def _cost(chosen: argparse.Namespace) -> int:
    if chosen.table and chosen.name:
        print(f"lth cost: --table {chosen.table} is not of an experiment, leave out {chosen.name[0]}", file=sys.stderr)
        return 2
    if chosen.table:
        from lth.cost import strubell2019, text

        print(text(strubell2019.HEADER, strubell2019.cells(), strubell2019.notes(), chosen.format))
        return 0
    from lth import bill

    names = bill.Names(chosen.region, chosen.pue, chosen.price, chosen.watts, chosen.tables)
    return bill.main(chosen.name, chosen.runs, names, chosen.format, chosen.out if chosen.figure else None)


def _speed(chosen: argparse.Namespace) -> int:
    from lth import speed

    return speed.main()
