"""The store -> tidy pandas tables: one row per trained ticket, one per evaluation; and a summary."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lth.store import Damaged, read_result, records
from lth.text import aligned
from lth.ticket import Ticket, Trained, remaining, total

log = logging.getLogger("lth")

# Columns that say which ticket of a configuration a row is and what came out; all others are the configuration.
RESULTS = {"density", "remaining", "total", "early_stop_step", "early_stop_val_loss", "early_stop_val_accuracy",
           "early_stop_test_accuracy", "final_test_accuracy", "final_train_accuracy", "seconds", "machine", "commit",
           "date", "digest", "cpu_seconds", "device", "samples", "evaluated", "macs", "macs_remaining", "energy_kwh",
           "energy_method", "bits", "bytes"}  # fmt: skip
# Of a training's ledger; results from before there was one have only the seconds, and most machines measure no energy.
LEDGER = ("seconds", "cpu_seconds", "device", "samples", "evaluated", "macs", "macs_remaining", "energy_kwh",
          "energy_method")  # fmt: skip
KEYS = ["experiment", "branch", "draw", "replicate", "level"]


def early_stop(evaluations: pd.DataFrame) -> dict[str, Any]:
    """The early-stop step, that of the minimum validation loss over the whole run, the first of equal ones, and the
    accuracies there and at the end (Frankle & Carbin 2019, Section 2 and Appendix C).
    """
    best, last = evaluations.loc[evaluations["validation_loss"].idxmin()], evaluations.iloc[-1]
    return {
        "early_stop_step": int(best["step"]),
        "early_stop_val_loss": float(best["validation_loss"]),
        "early_stop_val_accuracy": float(best["validation_accuracy"]),
        "early_stop_test_accuracy": float(best["test_accuracy"]),
        "final_test_accuracy": float(last["test_accuracy"]),
    }


def origin(ticket: Ticket) -> dict[str, Any]:
    """Where a ticket stands: the part of its row that is known before it is trained."""
    left, all_weights = remaining(ticket.mask), total(ticket.mask)
    return {
        "branch": ticket.branch,
        "draw": ticket.draw,
        "level": ticket.level,
        "density": left / all_weights,
        "remaining": left,
        "total": all_weights,
    }


def row(trained: Trained) -> dict[str, Any]:
    """A trained ticket as a row of the table."""
    return {**origin(trained.ticket), **early_stop(trained.evaluations), **_facts(trained.steps, trained.facts)}


def tickets(root: Path, experiment: str | None = None) -> pd.DataFrame:
    """One row per trained ticket of each experiment."""
    rows = [
        {**_labels(record, item), **early_stop(result["evaluations"]),
         **_facts(item.get("steps", result["steps"]), result["facts"]), **_origin(result["environment"]),
         "digest": result["digest"]}
        for record, item, result in _results(root, experiment)
    ]  # fmt: skip
    table = pd.DataFrame(rows)
    if table.empty:
        return table
    if "rewind.step" in table:
        table["rewind.step"] = table["rewind.step"].fillna(0).astype(int)
    if "precision" in table:
        table["precision"] = table["precision"].fillna("fp32")
    configuration = [column for column in table if column not in (*RESULTS, *KEYS)]
    table = table.drop_duplicates([*KEYS, *configuration, "digest"])
    return table.sort_values(["experiment", *configuration, *KEYS[1:]], ignore_index=True)


def evaluations(root: Path, experiment: str | None = None) -> pd.DataFrame:
    """One row per evaluation of every trained ticket: the learning curves."""
    parts = [
        result["evaluations"].assign(
            **{k: v for k, v in _labels(record, item).items() if k in {*KEYS, "density"}}, digest=item["digest"]
        )
        for record, item, result in _results(root, experiment)
    ]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Of one variant, per level, ticket beside the controls: mean and sample deviation over replicates and draws."""
    columns = {"early-stop step": ("early_stop_step", 1, 0), "accuracy %": ("early_stop_test_accuracy", 100, 2)}
    groups = table.groupby(["level", "branch"], sort=True)
    cells = {
        (branch, title): groups[name].apply(lambda v, s=scale, d=digits: mean_and_spread(v * s, d)).xs(branch, level=1)
        for branch in branches(table)
        for title, (name, scale, digits) in columns.items()
    }
    percent = (100 * table.groupby("level")["density"].mean()).map("{:.2f}".format)
    counts = groups.size().unstack().fillna(0).astype(int)
    frame = pd.DataFrame({("", "% of weights"): percent, **cells})
    for branch in branches(table):
        frame[(branch, "n")] = counts[branch]
    return frame.reindex(columns=[("", "% of weights"), *((b, c) for b in branches(table) for c in (*columns, "n"))])


def variants(table: pd.DataFrame) -> pd.Series:
    """For each row the part of its configuration that differs within the table, such as "rewind.step=100"; "" if none
    does. Rows of different variants are never averaged; where no column tells them apart, their digest does.
    """
    labels = _labelled(table.drop(columns="config", errors="ignore"))
    told_apart = "config" not in table or (table.groupby(labels)["config"].nunique() <= 1).all()
    return labels if told_apart else _labelled(table)


def _labelled(table: pd.DataFrame) -> pd.Series:
    # What is reduced stands in columns of its own, and it is too long for a name.
    known = table.drop(columns=[c for c in (*RESULTS, *KEYS, "reduced") if c in table]).astype(object)
    known = known.where(known.notna(), "-")
    varying = [column for column in known if known[column].nunique() > 1]
    labels = [", ".join(f"{c}={v}" for c, v in zip(varying, row, strict=True)) for row in
              known[varying].itertuples(index=False, name=None)]  # fmt: skip
    return pd.Series(labels if varying else "", index=table.index, dtype="str")


def branches(table: pd.DataFrame) -> list[str]:
    """The branches that a table has, the main line first."""
    return sorted(table["branch"].unique(), key=lambda branch: (branch != "ticket", branch))


def mean_and_spread(values: pd.Series, digits: int = 2) -> str:
    """As "98.31 ± 0.05"; of a single value no spread is known."""
    spread = f" ± {values.std():.{digits}f}" if len(values) > 1 else ""
    return f"{values.mean():.{digits}f}{spread}"


def spreads(
    groups: Iterable[tuple[Sequence[str], pd.DataFrame]],
    labels: Sequence[str],
    shown: Mapping[str, tuple[str, float, int]],
) -> str:
    """A line for each group (its labels, its rows): mean and sample deviation of some columns, and n. shown: title ->
    column, factor, digits.
    """
    lines = [[*labels, *shown, "n"]]
    for names, part in groups:
        cells = [mean_and_spread(scale * part[column], digits) for column, scale, digits in shown.values()]
        lines.append([*names, *cells, str(len(part))])
    return aligned(lines)


def markdown(table: pd.DataFrame) -> str:
    """The summary of every experiment of a table as text that is readable as it is and as markdown."""
    experiments = ((str(name), part) for name, part in table.groupby("experiment", sort=True))
    return "\n\n".join(
        _section(f"{name}: {variant}" if variant else name, rows)
        for name, part in experiments
        for variant, rows in part.groupby(variants(part), sort=False)
    )


def _section(name: str, table: pd.DataFrame) -> str:
    frame = summary(table).fillna("")
    header = ["level", *(f"{branch}: {title}" if branch else title for branch, title in frame.columns)]
    body = [[str(level), *map(str, values)] for level, *values in frame.itertuples(name=None)]
    return f"### {name}\n\n{aligned([header, *body])}"


def _results(root: Path, experiment: str | None) -> Any:
    for record in records(root):
        if experiment in (None, record["experiment"]):
            for item in record["rows"].values():
                try:
                    yield record, item, read_result(root / "trained" / item["digest"])
                except Damaged as damage:
                    log.warning("%s; run its experiment again to train it again", damage)


def _labels(record: Mapping[str, Any], item: Mapping[str, Any]) -> dict[str, Any]:
    labels = {key: value for key, value in item.items() if key != "digest"}
    return {"experiment": record["experiment"], **record["columns"], **labels}


def _facts(steps: int, facts: Mapping[str, Any]) -> dict[str, Any]:
    spent = {key: facts[key] for key in LEDGER if key in facts}
    return {"final_train_accuracy": facts["final_train_accuracy"], "steps": steps, **spent}


def _origin(environment: Mapping[str, str]) -> dict[str, str]:
    return {key: environment[key] for key in ("machine", "commit", "date")}
