"""What each command does with its words: its exit code. It imports what it needs when it is known to be wanted."""

import argparse
import sys


def table(chosen: argparse.Namespace) -> int:
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


def figure(chosen: argparse.Namespace) -> int:
    from lth import figure

    return figure.main(chosen.name, chosen.runs, chosen.out, chosen.overrides, train=chosen.run)


def compress(chosen: argparse.Namespace) -> int:
    from lth import compress

    return compress.main(chosen.overrides, chosen.out, chosen.levels, chosen.bits)


def export(chosen: argparse.Namespace) -> int:
    from lth import compress

    return compress.write(chosen.overrides, chosen.level, chosen.format, chosen.out)


def layout(chosen: argparse.Namespace) -> int:
    from lth import layout

    return layout.main(chosen.overrides, chosen.out, chosen.levels)


def scorecard(chosen: argparse.Namespace) -> int:
    from lth import scorecard

    return scorecard.main(chosen.runs, chosen.out)


def report(chosen: argparse.Namespace) -> int:
    from lth import report

    return report.main(chosen.name, chosen.runs, chosen.figures, chosen.out)


def cost(chosen: argparse.Namespace) -> int:
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


def speed(chosen: argparse.Namespace) -> int:
    from lth import speed

    return speed.main()
