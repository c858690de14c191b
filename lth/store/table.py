"""Tidy pandas tables of a store: one row per trained ticket, one per evaluation. Imports no PyTorch."""

import logging
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lth.store import index
from lth.store.columns import FLIPS, KEYS, USAGE, configures, early_stop, independent
from lth.store.defaults import completed, filled
from lth.store.file import Corrupt, Newer, check_types
from lth.store.index import Curve, Index, Known
from lth.store.names import experiment_folder
from lth.store.record import OWN_STEPS, records
from lth.store.result import read_result
from lth.store.stale import ADDED, BRANCH_CODE, mark_branches, stale

if TYPE_CHECKING:
    from lth.ticket import Trained

log = logging.getLogger("lth")


def origin(trained: "Trained") -> dict[str, Any]:
    """Columns that identify the ticket, and the counts of the final mask m_T."""
    from lth.ticket import density, layers_kept, remaining, total

    ticket, mask = trained.ticket, trained.mask
    kept = layers_kept(mask)
    return {
        "branch": ticket.branch,
        "draw": ticket.draw,
        "level": ticket.level,
        **({} if ticket.bits is None else {"bits": ticket.bits}),
        "density": density(mask),
        "remaining": remaining(mask),
        "total": total(mask),
        **({} if kept == 1 else {"layers_kept": kept}),
    }


def row(trained: "Trained") -> dict[str, Any]:
    """The row of a trained ticket in the table."""
    return {**origin(trained), **early_stop(trained.evaluations), **_facts(trained.steps, trained.facts)}


def tickets(root: Path | str, experiment: str | None = None) -> pd.DataFrame:
    """One row per trained ticket of one experiment, or of all; empty if nothing is stored."""
    return _tickets([*_results(root, experiment)])


def evaluations(root: Path | str, experiment: str | None = None) -> pd.DataFrame:
    """One row per evaluation of every trained ticket: the learning curves."""
    return _evaluations([*_results(root, experiment)])


def tables(root: Path | str, experiment: str | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Both `tickets` and `evaluations`, each result file read once."""
    results = [*_results(root, experiment)]
    return _tickets(results), _evaluations(results)


def refresh(root: Path) -> None:
    """Bring the index of a store up to date, so that tables are read fast. Raises OSError."""
    index.refresh(root, _known)


def _known(entry: Path) -> Known:
    """Cells and curve of a result; raises Corrupt."""
    result = read_result(entry)
    curve = result["evaluations"]
    facts = _facts(result["steps"], result["facts"])
    facts |= _multiplied(result["recipe"])
    cells = {"early_stop": early_stop(curve), "facts": facts, "origin": _origin(result["environment"])}
    return Known(cells, {str(column): curve[column].to_numpy() for column in curve})


def _tickets(results: "list[_Result]") -> pd.DataFrame:
    table = pd.DataFrame([
        {**_labels(record, item), **known.cells["early_stop"], **known.cells["facts"],
         **_steps_of_line(item, known.cells["facts"]["steps"]), **known.cells["origin"], "digest": item["digest"]}
        for record, item, known in results
    ])  # fmt: skip
    if table.empty:
        return table
    table = as_text(filled(table))
    keys = [key for key in KEYS if key in table]
    configuration = [*filter(configures, table)]
    table = table.drop_duplicates([*keys, *configuration, "digest"])
    return table.sort_values(["experiment", *configuration, *keys[1:]], ignore_index=True)


def _evaluations(results: "list[_Result]") -> pd.DataFrame:
    """The curves, those of the same columns at once: a table for each would take a millisecond."""
    kinds: dict[Any, list[tuple[int, dict[str, Any], Curve]]] = {}
    for place, (record, item, known) in enumerate(results):
        labels = {k: v for k, v in _labels(record, item).items() if k in {*KEYS, "density"}}
        kind = (*known.curve, *((k, type(v)) for k, v in labels.items()))
        kinds.setdefault(kind, []).append((place, {**labels, "digest": item["digest"]}, known.curve))
    if not results:
        return pd.DataFrame()
    places, parts = zip(*map(_joined, kinds.values()), strict=True)
    order = np.argsort(np.concatenate(places), kind="stable")
    return as_text(pd.concat(parts, ignore_index=True).take(order).reset_index(drop=True))


def _joined(curves: "list[tuple[int, dict[str, Any], Curve]]") -> tuple[Any, pd.DataFrame]:
    """(place of each row, the rows) of curves that have the same columns and labels."""
    lengths = [len(curve["step"]) for _, _, curve in curves]
    columns = {name: np.concatenate([curve[name] for _, _, curve in curves]) for name in curves[0][2]}
    labels = pd.DataFrame([labels for _, labels, _ in curves]).loc[np.repeat(np.arange(len(curves)), lengths)]
    rows = pd.concat([pd.DataFrame(columns), labels.reset_index(drop=True)], axis=1)
    return np.repeat([place for place, _, _ in curves], lengths), rows


# A record of the store, one of its rows, and what is known of the result that the row names.
_Result = tuple[Any, Any, Known]


def _results(root: Path | str, experiment: str | None) -> Iterator[_Result]:
    """Rows whose result is there and is what they name; the others are reported. Changes nothing. A record, or a row of
    a branch, whose code changed since has a column `stale` that says how.
    """
    root = Path(root)
    known, found = Index(root), [*records(root, experiment)]
    mark_branches(found)
    changes, named = stale(found), {column for record in found for column in record["columns"] if "." in column}
    for record in found:
        if record["code"].get("sources"):
            record["columns"] = completed(record["columns"], named, record["code"])
        if change := changes.get((record["experiment"], record.get("job", ""))):
            record["columns"]["stale"] = change
        for item in independent(record["rows"].values()):
            try:
                yield record, item, known.get(_entry(root, record, item), _known)
            except Newer as error:
                log.warning("%s", error)
            except Corrupt as error:
                log.warning("%s; rerun its experiment to train it again", error)


def _entry(root: Path, record: Mapping[str, Any], item: Mapping[str, Any]) -> Path:
    """The folder of the training that a row names; raises Corrupt if the row lacks what the table needs."""
    row = experiment_folder(root, str(record["experiment"]))
    check_types(row, item, {"digest": str, "draw": int, "level": int, "density": (float, int)})
    check_types(row, item, {"remaining": int, "total": int})
    if not re.fullmatch(r"\w+", item["digest"]):
        raise Corrupt(f"{row} is corrupt: a row has the digest {item['digest'][:40]!r}")
    return root / "trained" / str(item["digest"])


def _labels(record: Mapping[str, Any], item: Mapping[str, Any]) -> dict[str, Any]:
    left_out = {"digest", BRANCH_CODE, ADDED}
    labels = {key: value for key, value in item.items() if key not in left_out and (key, value) != ("bits", None)}
    return {"experiment": record["experiment"], **record["columns"], **labels}


def _steps_of_line(item: Mapping[str, Any], steps: int) -> dict[str, int]:
    """Steps of the line of a training that has others, so that a table can put them together, and a branch's own."""
    if "steps" not in item:
        return {}
    own = {} if item["branch"] == "ticket" or "bits" in item or steps == item["steps"] else {OWN_STEPS: steps}
    return {"steps": item["steps"], **own}


def _facts(steps: int, facts: Mapping[str, Any]) -> dict[str, Any]:
    usage = {key: facts[key] for key in (FLIPS, *USAGE) if key in facts}
    return {**{key: value for key, value in facts.items() if key.startswith("final_train_")}, "steps": steps, **usage}


def _multiplied(recipe: Mapping[str, Any]) -> dict[str, str]:
    """Weights that multiplied in training beside those of the mask, by the recipe that is stored with a result: `moved`
    if its updater moved the mask, `frozen` if pruned ones were held at a value (`lth.branch.freeze`).
    """
    model = recipe.get("model")
    if isinstance(model, Mapping) and model.get("function") == "branch.frozen_model":
        return {"multiplies": "frozen"}
    return {"multiplies": "moved"} if "updater" in recipe else {}


def _origin(environment: Mapping[str, str]) -> dict[str, str]:
    return {key: environment[key] for key in ("machine", "commit", "date")}


def as_text(table: pd.DataFrame) -> pd.DataFrame:
    """Make columns of numbers and text, such as bits 8 and fp16, text (mixed ones can be neither sorted nor written),
    and the settings of a branch that has its defaults the empty text.
    """
    if "branch_settings" in table:
        table = table.assign(branch_settings=table["branch_settings"].fillna(""))
    mixed = [c for c in table if table[c].dtype == object and table[c].dropna().map(type).isin([str]).nunique() > 1]
    return table.assign(**{c: table[c].map(_text, na_action="ignore") for c in mixed})


def _text(value: Any) -> str:
    return value if isinstance(value, str) else str(value).removesuffix(".0")
