"""`lth show`: one stored training."""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from lth.analysis import inspection
from lth.analysis.inspection import Inspection
from lth.analysis.markdown import aligned
from lth.analysis.metric import Metric, shown
from lth.analysis.query import evenly
from lth.cli.config.own import see_own_modules
from lth.cli.console import log_to_console
from lth.store.columns import early_stop, metric_name
from lth.store.record import records
from lth.store.stale import stale

HEAD = ("part", "function or value", "arguments", "file")
ROWS = 12  # of the learning curve


def main(arguments: argparse.Namespace) -> int:
    """Print the training whose digest begins so; returns the exit code."""
    log_to_console(stderr=True)
    see_own_modules()
    found = inspection.inspect(arguments.runs, arguments.digest)
    changes = stale(records(arguments.runs))
    print("\n\n".join([
        "\n".join(_head(found, changes)),
        f"recipe\n{aligned([HEAD, *inspection.parts(found)], left=range(4))}",
        f"mask\n{_layers(found)}",
        f"learning curve\n{_curve(found.result['evaluations'])}",
    ]))  # fmt: skip
    return 0


def _head(found: Inspection, changes: Mapping[tuple[str, str], str]) -> Iterator[str]:
    result, environment = found.result, found.result["environment"]
    yield f"training {found.digest}"
    for record, row in found.places:
        change = changes.get((record["experiment"], record.get("job", ""))) or row.get("stale")
        yield f"in       {_place(record, row)}" + (f" (stale: {change})" if change else "")
    if not found.places:
        yield "in       no experiment: stored from Python, or its experiment was deleted"
    versions = ", ".join(f"{key} {environment[key]}" for key in ("lth", "python", "torch") if key in environment)
    computer = ", ".join(environment[key] for key in ("machine", "gpu") if key in environment)
    yield f"trained  {environment['date']}, {computer}; commit {environment['commit']}; {versions}"
    seconds = result["facts"].get("seconds")
    kernel, steps = result["facts"].get("kernel"), result["steps"]
    more = [*([] if seconds is None else [f"{seconds:.1f} s"]), *([f"kernel {kernel}"] if kernel else [])]
    yield f"took     {', '.join([f'{steps:,} steps', *more])}"
    curve = result["evaluations"]
    name, best = metric_name(curve), early_stop(curve)
    yield (f"result   early stop at step {best['early_stop_step']}: "
           f"test {shown(name, best[f'early_stop_test_{name}'])}, "
           f"validation {shown(name, best[f'early_stop_val_{name}'])}; at the end test "
           f"{shown(name, best[f'final_test_{name}'])}")  # fmt: skip


def _place(record: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    bits = f", bits {row['bits']}" if row.get("bits") is not None else ""
    draw = f", draw {row['draw']}" if row["draw"] else ""
    return (f"{record['experiment']}: {row['branch']}, replicate {record['columns'].get('replicate')}, level "
            f"{row['level']}{draw}{bits}; job {record.get('job', 'unknown')}, {record['status']}")  # fmt: skip


def _layers(found: Inspection) -> str:
    table = inspection.layers(found.mask)
    kept, total = table["kept"].sum(), table["of"].sum()
    rows = [[*map(_text, row)] for row in table.itertuples(index=False, name=None)]
    sums = ["all", "", _text(kept), _text(total), _text(100 * kept / total), "", ""]
    return aligned([[*table], *rows, sums], left=(0, 1))


def _curve(evaluations: pd.DataFrame) -> str:
    """The first and last rows of a learning curve, its early stop, and some between them."""
    name = metric_name(evaluations)
    scale, digits = Metric(name).scale, Metric(name).digits
    best = int(evaluations["step"].to_numpy().searchsorted(early_stop(evaluations)["early_stop_step"]))
    at = sorted({best, *evenly(range(len(evaluations)), ROWS)})
    losses, metrics = ["train_loss", "validation_loss", "test_loss"], [f"validation_{name}", f"test_{name}"]
    head = ["step", *(column.replace("_", " ") for column in losses), *(m.replace("_", " ") for m in metrics), ""]
    return aligned([head, *(_line(evaluations.iloc[i], losses, metrics, scale, digits, i == best) for i in at)])


def _line(row: Any, losses: Sequence[str], metrics: Sequence[str], scale: float, digits: int, best: bool) -> list[str]:
    values = [*(f"{row[c]:.4f}" for c in losses), *(f"{scale * row[c]:.{digits}f}" for c in metrics)]
    return [f"{int(row['step'])}", *("" if value == "nan" else value for value in values), "early stop" if best else ""]


def _text(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value) if isinstance(value, str) else f"{value:,}"
