"""Deleting and renaming of stored experiments: what others need stays, and what is locked."""

import contextlib
import json
import shlex
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import shell
from attack import ended, forked, kill_at
from test_job import JOB

from lth import UserError, cli, job
from lth.engine import Callback
from lth.job import Job
from lth.store import Store, renaming, table, upkeep
from lth.store.locks import claimed
from lth.store.precision import recorded, settle
from lth.store.running import lease_of

DENSE = replace(JOB, branches={}, levels=0)


def finish(what: Job, root: Path) -> set[str]:
    """Run a job to its end; returns the digests of its trainings."""
    store = Store(root)
    trained = job.run(what, store, Callback(), lambda _: None)
    job.status(what, store, "finished")
    return {each.facts["digest"] for each in trained}


def entries(root: Path) -> set[str]:
    return {entry.name for entry in (root / "trained").iterdir()}


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """Two experiments that share the dense net."""
    finish(JOB, tmp_path)
    finish(replace(DENSE, name="other"), tmp_path)
    return tmp_path


def test_a_deletion_leaves_what_another_experiment_needs(two: Path) -> None:
    before = entries(two)
    (shared,) = table.tickets(two, "other")["digest"]
    plan = upkeep.deletion(two, JOB.name)
    assert plan.kept == 1
    assert {folder.name for folder in plan.trainings} == before - {shared}
    assert entries(two) == before  # a plan deletes nothing
    assert upkeep.carry_out(plan) == (1, len(before) - 1, 0)
    assert entries(two) == {shared}
    assert set(table.tickets(two)["experiment"]) == {"other"}
    assert [folder.name for folder in (two / "experiments").iterdir()] == ["other"]
    upkeep.carry_out(upkeep.deletion(two, "other"))
    assert entries(two) == set()


@pytest.mark.long
def test_what_was_deleted_is_trained_again_with_the_same_digests(two: Path) -> None:
    before = entries(two)
    upkeep.carry_out(upkeep.deletion(two, JOB.name))
    assert finish(JOB, two) == before


def test_nothing_that_a_record_names_is_garbage(two: Path) -> None:
    assert upkeep.garbage(two).trainings == ()
    for file in (two / "experiments" / JOB.name).glob("*.json"):
        file.unlink()
    (shared,) = table.tickets(two, "other")["digest"]
    assert {folder.name for folder in upkeep.garbage(two).trainings} == entries(two) - {shared}
    upkeep.carry_out(upkeep.garbage(two))
    assert entries(two) == {shared}
    assert len(table.tickets(two)) == 1


def test_a_job_that_failed_before_it_trained_anything_is_garbage(two: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, levels in (("typo", None), ("half", 0)):
        if levels is not None:
            finish(replace(DENSE, name=name, levels=levels), two)
        job.status(replace(DENSE, name=name), Store(two), "failed", "no such layer")
    (file,) = (two / "experiments" / "typo").glob("*.json")
    plan = upkeep.garbage(two)
    assert (plan.failed, plan.records, plan.trainings) == ((file,), (), ())
    assert cli.main(["gc", "--runs", str(two), "--yes"]) == 0
    said = capsys.readouterr().out
    assert f"{file}\n1 failed job without a training, 0 trainings without an experiment" in said
    assert said.endswith("deleted 1 record and 0 trainings\n")
    assert {folder.name for folder in (two / "experiments").iterdir()} == {JOB.name, "other", "half"}


def test_a_failed_job_that_was_started_again_since_the_plan_keeps_its_record(two: Path) -> None:
    again, done = replace(DENSE, name="again"), replace(DENSE, name="done")
    for each in (again, done):
        job.status(each, Store(two), "failed", "no such layer")
    plan = upkeep.garbage(two)
    job.status(again, Store(two), "running")
    finish(done, two)
    assert len(plan.failed) == 2
    assert upkeep.carry_out(plan) == (0, 0, 0)
    assert all(file.exists() for file in plan.failed)
    job.status(again, Store(two), "failed", "no such layer")
    gone = upkeep.garbage(two)
    assert upkeep.carry_out(gone).records == 1
    assert upkeep.carry_out(gone).records == 0  # as after another process has deleted it
    assert not (two / "experiments" / "again").exists()


def test_the_state_of_an_interrupted_training_is_kept_unless_it_is_asked_for(tmp_path: Path) -> None:
    begun = tmp_path / "trained" / ("0" * 20)
    begun.mkdir(parents=True)
    (begun / "partial.safetensors").write_bytes(b"state")
    plan = upkeep.garbage(tmp_path)
    assert (plan.trainings, plan.partial) == ((), 1)
    assert upkeep.garbage(tmp_path, partial=True).trainings == (begun,)
    (tmp_path / "trained" / "notes").mkdir()  # not a training
    upkeep.carry_out(upkeep.garbage(tmp_path, partial=True))
    assert entries(tmp_path) == {"notes"}


def test_a_training_that_another_process_holds_stays(two: Path) -> None:
    plan = upkeep.deletion(two, JOB.name)
    held = plan.trainings[0]
    with claimed([held], lambda: None):
        assert upkeep.carry_out(plan) == (1, len(plan.trainings) - 1, 1)
    assert (held / "result.json").exists()
    assert upkeep.garbage(two).trainings == (held,)


def test_a_training_that_a_record_came_to_name_since_the_plan_stays(two: Path) -> None:
    plan = upkeep.deletion(two, JOB.name)
    finish(replace(JOB, name="new"), two)
    assert upkeep.carry_out(plan) == (1, 0, len(plan.trainings))
    assert len(table.tickets(two, "new")) == 3


def test_the_precision_of_an_experiment_that_begins_stays(two: Path) -> None:
    settle(two, "fresh", "bf16")
    upkeep.carry_out(upkeep.deletion(two, "other"))
    upkeep.carry_out(upkeep.garbage(two))
    assert recorded(two, "fresh") == "bf16"


@pytest.mark.parametrize("where", ["record", "training"])
def test_while_a_lease_cannot_be_read_nothing_is_deleted(where: str, two: Path) -> None:
    before, plan = entries(two), upkeep.deletion(two, JOB.name)
    lease = lease_of(plan.records[0]) if where == "record" else plan.trainings[-1] / "lease"
    lease.mkdir()
    with pytest.raises(OSError, match=r"lease can't be read \(not a regular file\): move it away"):
        upkeep.carry_out(plan)
    assert entries(two) == before
    assert plan.records[0].exists()
    lease.rmdir()
    assert upkeep.carry_out(plan).trainings == len(plan.trainings)


def killed_at_each_change(work: Callable[[Path], Any], store: Path) -> Iterator[Path]:
    """Copies of a store in which a process was killed at its first change, at its second, and so on to its end."""
    number, code = 0, -signal.SIGKILL
    while code:
        number += 1
        root = Path(shutil.copytree(store, store.parent / f"{store.name}-{number}"))
        code = ended(forked(partial(_killed, number, root, work)))
        assert code in (0, -signal.SIGKILL)
        yield root
        shutil.rmtree(root)
    assert number > 10


def _killed(number: int, root: Path, work: Callable[[Path], Any]) -> None:
    kill_at(number, root)
    work(root)


@pytest.mark.long
def test_a_deletion_that_was_killed_anywhere_is_completed(two: Path) -> None:
    def delete(root: Path) -> None:
        upkeep.carry_out(upkeep.deletion(root, JOB.name))

    (shared,) = table.tickets(two, "other")["digest"]
    for root in killed_at_each_change(delete, two):
        if any((root / "experiments" / JOB.name).glob("*.json")):
            delete(root)
        with pytest.raises(UserError, match="lth gc --yes deletes what an interrupted deletion left"):
            delete(root)
        upkeep.carry_out(upkeep.garbage(root))
        assert entries(root) == {shared}
        assert [folder.name for folder in (root / "experiments").iterdir()] == ["other"]
        assert [file.suffix for file in (root / "experiments" / "other").iterdir()] == [".json"]


@pytest.mark.long
def test_a_renaming_that_was_killed_anywhere_is_completed(two: Path) -> None:
    before = table.tickets(two, JOB.name).drop(columns="experiment")
    for root in killed_at_each_change(lambda root: renaming.rename(root, JOB.name, "new"), two):
        with contextlib.suppress(UserError):  # if all was renamed
            renaming.rename(root, JOB.name, "new", merge=True)
        upkeep.carry_out(upkeep.garbage(root))
        pd.testing.assert_frame_equal(table.tickets(root, "new").drop(columns="experiment"), before)
        assert {folder.name for folder in (root / "experiments").iterdir()} == {"new", "other"}
        assert [file.suffix for file in (root / "experiments" / "new").iterdir()] == [".json"]


def test_while_a_record_cannot_be_read_nothing_is_deleted(two: Path) -> None:
    (file,) = (two / "experiments" / "other").glob("*.json")
    file.write_text(file.read_text().replace("finished", "finishes"))
    for plan in (upkeep.garbage, lambda root: upkeep.deletion(root, JOB.name)):
        with pytest.raises(UserError, match="nothing is deleted"):
            plan(two)


def test_if_a_record_cannot_be_read_by_then_what_was_to_be_deleted_is_put_back(two: Path) -> None:
    before, plan = entries(two), upkeep.deletion(two, JOB.name)
    (file,) = (two / "experiments" / "other").glob("*.json")
    file.write_text("no record")
    with pytest.raises(UserError, match="nothing is deleted"):
        upkeep.carry_out(plan)
    assert entries(two) == before


@pytest.mark.parametrize("place", ["experiments", f"experiments/{JOB.name}"])
def test_where_a_file_stands_in_the_place_of_records_nothing_is_deleted(two: Path, place: str) -> None:
    (two / place).rename(two / "aside")
    (two / place).write_text("x", encoding="utf-8")
    with pytest.raises(UserError, match=r"Not a directory.*nothing is deleted or renamed: restore it, or move it away"):
        upkeep.garbage(two)


def test_where_a_link_to_nothing_stands_in_the_place_of_records_nothing_is_deleted(two: Path) -> None:
    (two / "experiments" / JOB.name).rename(two / "aside")
    (two / "experiments" / JOB.name).symlink_to("/nowhere/at/all")
    with pytest.raises(UserError, match=r"is a link to nothing.*nothing is deleted"):
        upkeep.garbage(two)


def test_a_hidden_file_beside_the_experiments_is_none_of_them(two: Path) -> None:
    (two / "experiments" / ".DS_Store").write_text("x", encoding="utf-8")
    assert not upkeep.garbage(two).trainings


def test_a_store_whose_trainings_are_a_link_is_left_alone(two: Path, tmp_path: Path) -> None:
    (two / "trained").rename(two / "elsewhere")
    (two / "trained").symlink_to(two / "elsewhere")
    with pytest.raises(UserError, match="is a link"):
        upkeep.garbage(two)
    with pytest.raises(UserError, match="is a link"):
        upkeep.carry_out(upkeep.deletion(two, JOB.name))
    assert len(table.tickets(two)) == 4


def test_a_running_experiment_is_not_deleted_unless_it_is_meant(two: Path) -> None:
    job.status(JOB, Store(two), "running")
    with pytest.raises(UserError, match="is running, or was killed"):
        upkeep.deletion(two, JOB.name)
    with pytest.raises(UserError, match="is running, or was killed"):
        renaming.rename(two, JOB.name, "new")
    assert upkeep.deletion(two, JOB.name, running=True).records


def test_a_renamed_experiment_has_the_same_results_and_goes_on_under_its_new_name(two: Path) -> None:
    before = table.tickets(two, JOB.name).drop(columns="experiment")
    assert renaming.rename(two, JOB.name, "new") == 1
    after = table.tickets(two, "new")
    assert before.equals(after.drop(columns="experiment"))
    assert set(after["experiment"]) == {"new"}
    assert table.tickets(two, JOB.name).empty
    assert finish(replace(JOB, name="new"), two) <= entries(two)
    assert len([*(two / "experiments" / "new").glob("*.json")]) == 1


def test_what_a_job_adds_while_a_record_waits_to_be_renamed_is_renamed_too(
    two: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(root: Path, old: str, new: str) -> None:
        finish(replace(JOB, levels=3), root)  # after the records were looked at

    monkeypatch.setattr(renaming, "follow", late)
    renaming.rename(two, JOB.name, "new")
    assert 3 in set(table.tickets(two, "new")["level"])
    assert upkeep.garbage(two).trainings == ()


def test_a_name_that_is_taken_or_forbidden_is_refused_and_two_experiments_can_be_put_together(two: Path) -> None:
    for new, said in [("other", "--merge"), ("a/b", "can't contain"), (JOB.name, "already")]:
        with pytest.raises(UserError, match=said):
            renaming.rename(two, JOB.name, new)
    renaming.rename(two, JOB.name, "other", merge=True)
    assert sorted(table.tickets(two, "other")["level"]) == [0, 1, 2]


def test_a_renaming_that_was_stopped_is_completed(two: Path) -> None:
    (file,) = (two / "experiments" / JOB.name).glob("*.json")
    record = json.loads(file.read_text())
    renaming._move(file, two / "experiments" / "new" / file.name, "new")
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(record))  # the new record was written, the old one not deleted yet
    renaming.rename(two, JOB.name, "new", merge=True)
    assert len(table.tickets(two, "new")) == 3


def test_commands_delete_only_when_told_to(two: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = shell.results(two)
    for given in (["delete", JOB.name], ["delete", JOB.name, "--dry-run"], ["gc"], ["gc", "--dry-run"]):
        assert cli.main([*given, "--runs", str(two)]) == 0
        asked = given[0] == "delete"  # there is no garbage
        assert ("nothing was deleted; --yes deletes" in capsys.readouterr().out) == asked
    assert shell.results(two) == before
    assert cli.main(["rename", JOB.name, "it's new", "--runs", str(two)]) == 0
    again = shlex.split(capsys.readouterr().out.partition("; ")[2])
    assert again == ["lth", "run", "name=it's new", "goes", "on", "with", "it"]
    assert cli.main(["rename", "it's new", "new", "--runs", str(two)]) == 0
    (two / "figures" / "new").mkdir(parents=True)
    assert cli.main(["delete", "new", "--yes", "--runs", str(two)]) == 0
    said = capsys.readouterr().out
    assert "deleted 1 record and 2 trainings" in said
    assert f"its figures stay in {two / 'figures' / 'new'}" in said
    assert len(table.tickets(two)) == 1


def test_a_store_that_is_not_there_is_no_clean_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["gc", "--runs", str(tmp_path / "none")]) == 1
    assert f"nothing is stored under {tmp_path / 'none'}; " in capsys.readouterr().err
    assert cli.main(["gc", "--runs", str(tmp_path)]) == 0  # an empty one is


def test_trainings_are_deleted_a_few_at_a_time(two: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "HELD", 2)
    count = len(entries(two))
    assert count == 3
    for file in (two / "experiments").rglob("*.json"):
        file.unlink()
    assert upkeep.carry_out(upkeep.garbage(two)) == (0, count, 0)
    assert entries(two) == set()


def test_what_a_stopped_deletion_left_is_garbage(two: Path) -> None:
    digest = min(entries(two))
    left = two / "trained" / f".gone-{digest}"
    (two / "trained" / digest).rename(left)
    assert upkeep.garbage(two).trainings == (left,)
    upkeep.carry_out(upkeep.garbage(two))
    assert not left.exists()


def test_records_that_a_link_does_not_lead_to_may_need_anything(two: Path) -> None:
    (two / "experiments").rename(two / "elsewhere")
    (two / "experiments").symlink_to(two / "unmounted")
    with pytest.raises(UserError, match=r"is a link to nothing"):
        upkeep.garbage(two)
