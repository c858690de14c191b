"""The command `lth` and its subcommands; each imports what it needs when it is known to be wanted."""

import argparse
import sys
from pathlib import Path

import lth

FORMATS = ("markdown", "csv", "parquet")


def main(arguments: list[str] | None = None) -> int:
    """Run `lth` with these arguments; returns the exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    if given[:1] == ["run"]:  # Hydra reads what is behind it
        from lth import run

        return run.main(given[1:])
    chosen = _parser().parse_args(given)
    try:
        return int(chosen.command(chosen))
    except KeyboardInterrupt:
        return 130


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
    table.add_argument("--out", type=Path, help="write to this file (parquet needs one)")
    table.set_defaults(command=_table)
    return parser


def _table(chosen: argparse.Namespace) -> int:
    from lth import table

    rows = table.tickets(chosen.runs, chosen.experiment)
    if rows.empty:
        print(f"lth table: nothing is stored under {chosen.runs}; lth run trains, --runs names another folder", file=sys.stderr)
        return 1
    if chosen.format == "parquet":
        if chosen.out is None:
            print("lth table: --format parquet needs --out FILE", file=sys.stderr)
            return 2
        rows.to_parquet(chosen.out, index=False)
        return 0
    text = rows.to_csv(index=False) if chosen.format == "csv" else table.markdown(rows) + "\n"
    if chosen.out is None:
        sys.stdout.write(text)
    else:
        chosen.out.write_text(text)
    return 0
