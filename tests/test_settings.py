"""Settings of a branch in tables: two draws of one branch with different arguments are told apart."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from small import recipe

from lth import branch, criterion, distribution, rewind, schedule, structure
from lth.analysis.branches import full_branch
from lth.analysis.claim import value
from lth.analysis.plot import evaluated
from lth.engine import Callback
from lth.init import glorot_normal
from lth.job import Branch, Job, run
from lth.store import Store, table

JOB = Job(
    name="small", recipe=recipe(steps=4), init=glorot_normal, criterion=criterion.magnitude,
    distribution=distribution.by_kind, structure=structure.weight, schedule=schedule.iterative,
    rewind=rewind.weights, levels=1,
)  # fmt: skip


def ran(root: Path, **transforms: Any) -> pd.DataFrame:
    job = replace(JOB, branches={name: Branch(transform) for name, transform in transforms.items()})
    run(job, Store(root), Callback(), lambda _: None)
    return table.tickets(root)


def test_a_table_without_settings_has_no_such_column(tmp_path: Path) -> None:
    assert "branch_settings" not in ran(tmp_path, edge_popup=partial(branch.edge_popup, scaled=False))


@pytest.mark.long
def test_draws_of_one_branch_with_different_settings_are_told_apart(tmp_path: Path) -> None:
    """The defaults are empty, spelled out or not; a branch that is run again with others keeps both rows."""
    ran(tmp_path, edge_popup=branch.edge_popup)
    found = ran(tmp_path, edge_popup=partial(branch.edge_popup, scaled=True), freeze=branch.freeze)
    rows = found.set_index(["branch", "branch_settings"]).sort_index()
    assert rows.index.tolist() == [
        ("edge_popup", ""), ("edge_popup", "scaled=True"), ("freeze", ""), ("ticket", ""), ("ticket", "")
    ]  # fmt: skip
    assert rows["digest"].nunique() == 5
    assert rows["multiplies"].fillna("").tolist() == ["moved", "moved", "frozen", "", ""]
    curves = table.evaluations(tmp_path)
    assert set(curves.loc[curves["branch"] == "edge_popup", "branch_settings"]) == {"", "scaled=True"}


def test_a_row_that_an_older_version_wrote_is_replaced_by_that_of_the_same_training(tmp_path: Path) -> None:
    transforms = {"edge_popup": partial(branch.edge_popup, scaled=True)}
    before = ran(tmp_path, **transforms)
    (record,) = tmp_path.glob("experiments/small/*.json")
    content = json.loads(record.read_text())
    rows = {"/".join(key.split("/")[:3]): each for key, each in content["rows"].items()}
    content["rows"] = {key: {k: v for k, v in row.items() if k != "branch_settings"} for key, row in rows.items()}
    older = {key: value for key, value in content.items() if key != "sha256"}
    record.write_text(json.dumps(older))
    assert len(ran(tmp_path, **transforms)) == len(before)
    assert table.tickets(tmp_path)["branch_settings"].tolist() == before["branch_settings"].tolist()


def test_a_branch_that_trains_longer_has_the_steps_of_the_line_beside_it(tmp_path: Path) -> None:
    """A table puts them together; `samples` says how long it was, and figures draw its last step as the end."""
    found = ran(tmp_path, longer=partial(branch.scratch, budget="macs", cap=2.0)).set_index("branch")
    assert found["steps"].tolist() == [4, 4, 4]
    assert found.loc["longer", "samples"] > found.loc["ticket", "samples"].max()
    assert found.loc["longer", "branch_settings"] == "budget=macs, cap=2"
    rows = table.tickets(tmp_path)
    ends = evaluated(rows, table.evaluations(tmp_path), 1.0)["value"]
    assert ends.tolist() == rows["final_test_accuracy"].tolist()


def two(first: str, second: str) -> pd.DataFrame:
    """One branch with two settings and accuracies 0.9 and 0.5."""
    rows = {"branch": "mine", "level": 1, "density": 0.5, "replicate": 1, "final_test_accuracy": [0.9, 0.5]}
    return pd.DataFrame({**rows, "branch_settings": [first, second]})


def test_a_claim_is_about_the_defaults_of_a_branch() -> None:
    measure = partial(value, percent=50, column="final_test_accuracy", branch="mine")
    found = measure(two("", "scaled=True"))
    assert found is not None
    assert found.mean == pytest.approx(90)
    with pytest.raises(ValueError, match="mine has several settings, a=1; a=2; name one"):
        measure(two("a=1", "a=2"))


def test_settings_of_different_configurations_are_told_apart_by_these() -> None:
    """Two nets, each with its own number of steps in an epoch: neither the names of lines nor a claim need them."""
    table = two("every=8", "every=40").assign(config=["a", "b"])
    assert list(full_branch(table)) == ["mine", "mine"]
    of_each = [
        value(part, percent=50, column="final_test_accuracy", branch="mine") for _, part in table.groupby("config")
    ]
    assert [found and found.mean for found in of_each] == pytest.approx([90, 50])
    assert list(full_branch(table.assign(config="a"))) == ["mine, every=8", "mine, every=40"]
