"""Migration of a store of version 0.1 to the names of this version."""

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import shell
import torch
from test_job import JOB, REINITIALIZE, ran
from test_recipe import example

from lth import cli, job, lr, quantization
from lth.job import Branch, Job
from lth.job.masks import mask_key
from lth.recipe import Recipe
from lth.store import Store, table
from lth.store.digest import describe, digest_of, short
from lth.store.file import read_json, write_json
from lth.store.migrate import _old, adopt_mask, forget, old_digest
from lth.store.precision import settle
from lth.ticket import Ticket, Trained


def test_the_old_name_of_a_training_is_the_one_that_version_0_1_gave() -> None:
    assert old_digest(*example()) == "e57aa5d063c7ea30a888"


def test_functions_had_the_paths_of_their_files() -> None:
    assert _old(describe(partial(lr.drop, at=[3], factor=0.5))) == {"function": "lth.lr.drop", "at": [3], "factor": 0.5}
    quantized = partial(quantization.quantized_model, model=JOB.recipe.model, weight_bits=4)
    assert _old(describe(quantized)) == {
        "function": "lth.quantizer.layer.aware",
        "model": {"function": "lth.model.lenet.mlp", "hidden": [8, 6]},
        "weight_bits": 4,
    }
    assert _old(describe(torch.optim.Adam)) == {"function": "torch.optim.adam.Adam"}


def test_weights_that_were_not_kept_are_not_needed_to_migrate(tmp_path: Path) -> None:
    before = ran(JOB, tmp_path, keep="none")
    _make_old(JOB, tmp_path)
    (tmp_path / "trained" / str(before[0].facts["digest"])).mkdir()  # by a run that was stopped before the migration
    found = job.migrate(JOB, Store(tmp_path))
    assert [t.facts["digest"] for t in found] == [t.facts["digest"] for t in before]
    assert [record["status"] for record in shell.records(tmp_path)] == ["finished"]


def test_what_two_experiments_share_is_migrated_with_the_first_and_known_to_the_second(tmp_path: Path) -> None:
    jobs = [replace(JOB, name=name) for name in ("first", "second")]
    for each in jobs:
        ran(each, tmp_path)
    _make_old(JOB, tmp_path)
    for each in jobs:
        assert len(job.migrate(each, Store(tmp_path))) == 3
    assert [len(record["rows"]) for record in shell.records(tmp_path)] == [3, 3]
    assert len(table.tickets(tmp_path)) == 6


def test_the_precision_of_an_experiment_is_no_damaged_record(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ran(JOB, tmp_path)
    settle(tmp_path, JOB.name, "fp32")
    forget(tmp_path, JOB.name, set())
    assert not caplog.messages


@pytest.mark.long
def test_a_migrated_store_has_the_same_results_and_trains_nothing(tmp_path: Path) -> None:
    branches = {"reinitialize": REINITIALIZE, "aware": Branch(partial(quantization.aware, steps=4), bits=[4])}
    what = replace(JOB, branches=branches)
    before = ran(what, tmp_path)
    expected = table.tickets(tmp_path).drop(columns=["digest"])
    _make_old(what, tmp_path)
    assert job.stored(what, Store(tmp_path)) == []
    found = job.migrate(what, Store(tmp_path))
    assert [t.facts["digest"] for t in found] == [t.facts["digest"] for t in before]
    assert table.tickets(tmp_path).drop(columns=["digest"]).equals(expected)
    assert len(shell.records(tmp_path)) == 1
    files = {file: file.stat().st_mtime_ns for file in shell.files(tmp_path / "trained") if "step-" in file.name}
    again: list[Trained] = ran(what, tmp_path)
    assert [t.facts["stored"] for t in again] == [True] * len(before)
    assert {file: file.stat().st_mtime_ns for file in files} == files


def _make_old(what: Job, root: Path) -> None:
    """Give trainings, masks and records the names of version 0.1."""
    names, find = dict[str, str](), sys.modules["lth.job.stored"]._find

    def look(recipe: Recipe, ticket: Ticket) -> None:
        names[digest_of(describe(recipe), ticket)] = old_digest(recipe, ticket)

    find(what, Store(root), look)
    science = [{"function": "lth.criterion.magnitude"}, {"function": "lth.scope.layerwise"}]
    for new, old in names.items():
        entry = (root / "trained" / new).rename(root / "trained" / old)
        for level in (1, 2):
            density = {"conv": 0.9**level, "linear": 0.5**level, "output": 0.5**level}
            adopt_mask(entry, mask_key(what, level, level - 1), short([*science, density, level - 1]))
        result = read_json(entry / "result.json")
        del result["format"]
        write_json(entry / "result.json", {**result, "digest": old})
    for file in (root / "experiments").glob("*/*.json"):
        record = read_json(file)
        for row in record["rows"].values():
            row["digest"] = names[row["digest"]]
        del record["format"], record["job"]
        write_json(file.rename(file.with_name(f"old-{file.name}")), record)


@pytest.mark.long
def test_the_command_reports_what_it_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["migrate", *shell.TINY, f"root={tmp_path}"]) == 1
    assert "nothing of these jobs is stored" in capsys.readouterr().err
    assert shell.run(f"root={tmp_path}") == 0
    capsys.readouterr()
    assert cli.main(["migrate", *shell.TINY, f"root={tmp_path}"]) == 0
    assert capsys.readouterr().out == "stored under the names of this version: 2 trainings\n"
