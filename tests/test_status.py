"""`lth status`: real jobs that run, wait, are killed, fail, are stopped and finish; leases of other hosts by hand."""

import contextlib
import csv
import io
import json
import os
import platform
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import shell

from lth import cli
from lth.cli.status import text
from lth.engine import Callback
from lth.job.noted import Noted
from lth.store import Record, Store
from lth.store.labels import told_apart
from lth.store.running import lease_of
from lth.store.status import JobStatus, status
from lth.store.watch import Watch
from lth.ticket import Ticket

# `lth`, with a sign of life ten times a second.
LIVELY = (
    "import sys; from lth.store import lease; lease.BEAT = 0.1; from lth import cli; sys.exit(cli.main(sys.argv[1:]))"
)
LONG = [*shell.TINY, "root=here", "steps=9000000", "evaluate_every=1000"]
ROOT = Path("here")


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    """Lines of `lth status` with numbers that differ from run to run replaced."""
    capsys.readouterr()
    assert cli.main(["status", "--runs", "here", *arguments]) == 0
    plain = capsys.readouterr().out.replace(platform.node(), "HOST")
    for pattern, instead in [(r"since \d\d:\d\d", "since 12:00"), (r"step [\d,]+ of", "step 1 of"),
                             (r"about [\d,]+ (h \d\d )?(min|h|s)", "about 9 h"),
                             (r"(life for|saved) \d+ s", r"\1 1 s")]:  # fmt: skip
        plain = re.sub(pattern, instead, plain)
    return plain.splitlines()


def until(true: Callable[[], bool]) -> None:
    """Wait for something for a minute at most."""
    for _ in range(600):
        if true():
            return
        time.sleep(0.1)
    raise AssertionError("it did not come about within a minute")


def states() -> dict[str, str]:
    """Words of each job -> its state."""
    return {job.words: job.state for job in status(ROOT)[0]}


def interrupt_once_one_runs() -> None:
    """Do to this process what Ctrl-C does, when a job of it is at a training."""
    until(lambda: [*ROOT.glob("trained/*/lease")] != [])
    os.kill(os.getpid(), signal.SIGINT)


@contextlib.contextmanager
def running(*overrides: str) -> Iterator["subprocess.Popen[str]"]:
    """A job in another process, which is killed in the end."""
    process = shell.started("run", *LONG, *overrides, code=LIVELY)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def record(replicate: int = 1, **columns: Any) -> Record:
    """The record of a job with these columns."""
    return Record(ROOT, "mine", f"a-{replicate}", {"model": "mlp", **columns, "replicate": replicate},
                  planned={"trainings": 4, "steps": 100})  # fmt: skip


def elsewhere(file: Path, *, age: float, beat: int = 1, **facts: Any) -> None:
    """Write the lease of a process on another host, whose file is so many seconds old."""
    state = {"token": "t", "since": datetime.now(UTC).isoformat(), "beat": beat, "facts": facts}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"host": "gpu03", "pid": 7, "place": "there", "started": 1, **state}), encoding="utf-8")
    os.utime(file, (time.time() - age,) * 2)


def abandoned(**columns: Any) -> Path:
    """The record of a job that says running, and whose process left no lease; returns its file."""
    own = record(**columns)
    own.status("running")
    lease_of(own.file).unlink()
    return own.file


@pytest.mark.long
def test_a_job_that_runs_waits_dies_or_is_stopped_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    with running("criterion=magnitude") as first:
        until(lambda: any(job.left is not None for job in status(ROOT)[0]))
        with running("criterion=random") as second:  # the dense net is that of the first job
            until(lambda: states() == {"criterion=magnitude": "running", "criterion=random": "waiting"})
            assert said(capsys) == [
                "first_ticket: 2 jobs, 1 waiting, 1 running",
                "  running  criterion=magnitude",
                f"           0 of 2 trainings; step 1 of 9,000,000; about 9 h left; HOST:{first.pid} since 12:00",
                "  waiting  criterion=random",
                "           0 of 2 trainings; waits for a training that another job holds;"
                f" HOST:{second.pid} since 12:00",
            ]
            second.send_signal(signal.SIGINT)
            assert second.wait(timeout=60) == 130
        first.kill()
        first.wait()
    assert said(capsys) == [
        "first_ticket: 2 jobs, 1 stopped, 1 dead",
        "  dead     criterion=magnitude",
        f"           0 of 2 trainings; step 1 of 9,000,000; no sign of life for 1 s; HOST:{first.pid} since 12:00",
        "  stopped  criterion=random  0 of 2 trainings",
    ]  # fmt: skip


@pytest.mark.long
def test_the_end_of_each_job_of_a_sweep_is_told_with_what_tells_it_apart(capsys: pytest.CaptureFixture[str]) -> None:
    assert shell.run("root=here", "levels=0", "hydra/launcher=basic", "-m", "optimizer.lr=0.001,1e20") == 1
    threading.Thread(target=interrupt_once_one_runs).start()
    assert cli.main(["run", *LONG, "replicate=2"]) == 130
    error = "NonFiniteLoss: the training loss is nan at step 1 of ticket, replicate 1, level 0; "
    lines = said(capsys)
    assert lines[0] == "first_ticket: 3 jobs, 1 done, 1 stopped, 1 failed"
    assert lines[1] == "  failed   evaluate_every=10, optimizer.lr=100000000000000000000, replicate=1"
    assert " ".join(line.strip() for line in lines[2:]).startswith(error)
    assert lines[-1] == "  stopped  evaluate_every=1000, optimizer.lr=0.0012, replicate=2  0 of 2 trainings"
    assert max(map(len, lines)) <= 100
    found = list(csv.DictReader(io.StringIO("\n".join(said(capsys, "--format", "csv")))))
    assert [row["state"] for row in found] == ["failed", "stopped", "done"]
    assert found[0]["error"].startswith(error)
    assert found[2]["words"] == "evaluate_every=10, optimizer.lr=0.001, replicate=1"  # the default has a value too
    (again,) = [job for job in json.loads("\n".join(said(capsys, "--format", "json"))) if job["state"] == "done"]
    assert (again["trainings"], again["planned"], again["host"], again["left"]) == (1, 1, "", None)


def test_a_lease_of_another_host_lives_if_it_was_written_lately() -> None:
    file = abandoned()
    for age, state in ((5, "running"), (170, "running"), (200, "dead")):
        elsewhere(lease_of(file), age=age)
        ((job,), problems) = status(ROOT)
        assert (job.state, job.host, job.pid, problems) == (state, "gpu03", 7, [])
        assert job.silent is not None
        assert age <= job.silent < age + 5


def test_a_lease_of_another_host_that_is_watched_needs_no_clock() -> None:
    file, at = lease_of(abandoned()), [0.0]
    watch = Watch(clock=lambda: at[0])

    def state(second: float) -> str:
        at[0] = second
        return status(ROOT, watch)[0][0].state

    elsewhere(file, age=-3600)  # its clock is an hour ahead
    assert (state(0), state(59), state(60)) == ("running", "running", "dead")
    elsewhere(file, age=3600, beat=2)  # it is an hour behind
    assert (state(61), state(120), state(121)) == ("running", "running", "dead")


def test_without_any_lease_nothing_is_known_of_a_job_that_says_running(capsys: pytest.CaptureFixture[str]) -> None:
    abandoned()
    assert said(capsys) == [
        "mine: 1 job, 1 dead", "  dead     replicate=1  0 of 4 trainings; no process is known to run it",
    ]  # fmt: skip


def test_a_training_that_names_the_job_shows_that_it_lives_and_how_long_it_takes() -> None:
    file = abandoned()
    facts = {"experiment": "mine", "job": file.stem, "ticket": "ticket, replicate 1, level 0", "steps": 100}
    elsewhere(ROOT / "trained" / f"{1:020x}" / "lease", age=1, step=50, taken=40, seconds=20.0, **facts)
    elsewhere(ROOT / "trained" / f"{2:020x}" / "lease", age=1, **facts)  # held, and not begun
    ((job,), _) = status(ROOT)
    assert (job.state, job.step, job.steps, job.ticket) == ("running", 50, 100, facts["ticket"])
    assert job.left == (50 + 3 * 100) / 2  # 2 steps a second: half of one training, and three that have not begun


def test_a_dead_job_says_when_its_progress_was_saved(capsys: pytest.CaptureFixture[str]) -> None:
    lease = ROOT / "trained" / f"{1:020x}" / "lease"
    elsewhere(lease, age=7300, experiment="mine", job=abandoned().stem, step=1500, steps=5000)
    (saved := lease.with_name("partial.safetensors")).touch()
    os.utime(saved, (time.time() - 7500,) * 2)
    assert said(capsys)[-2:] == [
        "           0 of 4 trainings; step 1 of 5,000; no sign of life for 2 h; saved 2 h ago; gpu03:7",
        "           since 12:00",
    ]


def test_a_job_that_was_put_off_waits(capsys: pytest.CaptureFixture[str]) -> None:
    record().status("waiting")
    assert said(capsys) == [
        "mine: 1 job, 1 waiting",
        "  waiting  replicate=1  0 of 4 trainings; waits for a training that another job holds",
    ]


def test_only_the_experiments_that_are_named_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    record().status("finished")
    replace(record(), experiment="other").status("failed", "boom\nand more")
    assert said(capsys, "mine") == ["mine: 1 job, 1 done"]
    assert said(capsys) == ["mine: 1 job, 1 done", "", "other: 1 job, 1 failed", "  failed   replicate=1  boom"]
    assert cli.main(["status", "nosuch", "--runs", "here"]) == 2
    assert capsys.readouterr().err == (
        "lth status: there is no experiment 'nosuch' under here; stored: mine, other\n"
    )  # fmt: skip


def test_of_an_empty_or_missing_store_there_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    wanted = ["no job is stored under here; lth run trains, --runs names another folder"]
    assert said(capsys) == wanted
    ROOT.mkdir()
    assert said(capsys) == wanted
    assert said(capsys, "--format", "json") == ["[]"]
    assert [*ROOT.iterdir()] == []


def test_a_corrupt_record_is_named_and_the_others_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    record(1).status("finished")
    record(2).status("finished")
    record(2).file.write_text("{}", encoding="utf-8")
    capsys.readouterr()
    assert cli.main(["status", "--runs", "here"]) == 0
    told = capsys.readouterr()
    assert told.out == "mine: 1 job, 1 done\n"
    assert told.err == f"{record(2).file} is corrupt: not JSON with a checksum\n"


def test_strange_leases_and_records_of_older_versions_do_no_harm() -> None:
    file = abandoned()
    lease_of(file).write_bytes(b"\x00 no lease")
    strange = {"experiment": ["mine"], "job": file.stem, "step": "many", "seconds": "long", "taken": -1}
    elsewhere(ROOT / "trained" / f"{1:020x}" / "lease", age=1, **strange)
    elsewhere(ROOT / "trained" / f"{2:020x}" / "lease", age=1, **{**strange, "experiment": "mine"})
    (ROOT / "trained" / "file").touch()
    ((job,), problems) = status(ROOT)
    assert (job.state, job.step, job.left, problems) == ("running", None, None, [])


def test_a_store_that_cannot_be_written_is_read(capsys: pytest.CaptureFixture[str]) -> None:
    abandoned()
    before = {file: file.stat().st_mtime_ns for file in ROOT.rglob("*")}
    folders = [ROOT, *(folder for folder in ROOT.rglob("*") if folder.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    try:
        assert said(capsys)[0] == "mine: 1 job, 1 dead"
    finally:
        for folder in folders:
            folder.chmod(0o755)
    assert {file: file.stat().st_mtime_ns for file in ROOT.rglob("*")} == before


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ([{"model": "mlp", "replicate": 3}], ["replicate=3"]),
        ([{"a": 1, "replicate": 1}, {"a": 1, "replicate": 2}], ["replicate=1", "replicate=2"]),
        ([{"lr": "drop", "lr.warmup": 5}, {"lr": "drop"}], ["lr.warmup=5", "lr.warmup=0"]),
        ([{"lr": "drop", "lr.warmup": 5}, {"lr": "own"}], ["lr=drop, lr.warmup=5", "lr=own"]),
        ([{"replicate": 1, "config": "a"}, {"replicate": 1, "config": "b"}], ["config=a", "config=b"]),
    ],
)
def test_words_are_the_columns_that_differ(columns: list[dict[str, Any]], words: list[str]) -> None:
    assert [words for words, _ in told_apart([{"columns": each, "code": {}} for each in columns])] == words


def test_jobs_are_sorted_by_state_and_then_by_number() -> None:
    for replicate, found in ((1, "finished"), (10, "failed"), (9, "failed"), (2, "interrupted")):
        record(replicate).status(found)
    assert [(job.state, job.words) for job in status(ROOT)[0]] == [
        ("failed", "replicate=9"), ("failed", "replicate=10"), ("stopped", "replicate=2"), ("done", "replicate=1"),
    ]  # fmt: skip


def test_every_line_fits_and_says_what_is_known() -> None:
    long = JobStatus("an_experiment", "j", "running", ", ".join(f"a_key_of_mine={i}" for i in range(12)), 3, 19)
    lines = [*text([replace(long, step=3400, steps=50_000, left=700.0)])]
    assert lines[0] == "an_experiment: 1 job, 1 running"
    assert lines[-1] == "           3 of 19 trainings; step 3,400 of 50,000; about 12 min left"
    assert max(map(len, lines)) <= 100
    assert max(len(line) for line in text([long], 60)) <= 60


def test_steps_are_noted_once_a_second_with_the_speed_since_the_ticket_was_seen_to_move() -> None:
    at, told = [0.0], list[Any]()

    class Told(Store):
        def note(self, ticket: Ticket, **facts: Any) -> None:
            told.append((ticket.replicate, *facts.values()))

    noted, one, other = Noted(Callback(), Told(ROOT), lambda: at[0]), Ticket({}, {}), Ticket({}, {}, replicate=2)
    for second, ticket, step in (
        (5.0, one, 10), (35.0, one, 11), (35.9, one, 29), (36.0, one, 31), (36.1, other, 1), (36.2, one, 35),
    ):  # fmt: skip
        at[0] = second
        noted.stepped(ticket, step, 100)
    # The step from 10 to 11 took half a minute, for set-up; it does not count.
    assert [(r, step, steps, taken, round(seconds, 3)) for r, step, steps, taken, seconds in told] == [
        (1, 10, 100, 0, 0.0), (1, 11, 100, 0, 0.0), (1, 31, 100, 20, 1.0), (2, 1, 100, 0, 0.0), (1, 35, 100, 24, 1.2),
    ]  # fmt: skip


@pytest.mark.long
def test_watching_goes_on_until_ctrl_c_and_prints_what_changes() -> None:
    record().status("finished")
    process = shell.started("status", "--watch", "--runs", "here")
    assert process.stdout is not None
    assert process.stdout.readline() == "mine: 1 job, 1 done\n"
    record(2).status("interrupted")
    assert process.stdout.readline() == "mine: 2 jobs, 1 done, 1 stopped\n"
    assert process.stdout.readline() == "  stopped  replicate=2  0 of 4 trainings\n"
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 130
    assert process.stdout.read() == ""


def test_the_lease_of_a_job_goes_when_it_ends_and_when_it_is_deleted() -> None:
    own = record()
    own.status("running")
    assert lease_of(own.file).exists()
    own.status("finished")
    assert not lease_of(own.file).exists()
    elsewhere(lease_of(abandoned()), age=0)
    assert cli.main(["delete", "mine", "--running", "--yes", "--runs", "here"]) == 0
    assert not own.file.parent.exists()


def test_a_job_that_another_process_has_taken_over_is_not_stopped_by_this_one() -> None:
    own = record()
    own.status("running")
    elsewhere(lease_of(own.file), age=0)
    own.status("interrupted")
    assert list(states().values()) == ["running"]


def test_a_job_in_another_folder_is_another_one_whatever_its_relative_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        own = record()
        own.status("running")
        assert lease_of(own.file).exists()
    own.status("finished")
    assert (tmp_path / "one" / lease_of(own.file)).exists()
    monkeypatch.chdir(tmp_path / "one")
    record().status("finished")
    assert not lease_of(own.file).exists()
