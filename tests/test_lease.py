"""Leases: one owner at a time, taken over from the dead and the silent, and from nobody else."""

import errno
import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
import shell
from attack import ended, forked, kill_at, outcome, results_of
from small import half_pruned
from test_store import JOB, Ears, ran

from lth import UserError, criterion, engine, job
from lth.file import here, started, sweep
from lth.job import noted
from lth.store import Store, exclusive, lease, upkeep
from lth.store.held import Held, is_dead_here, look
from lth.store.lease import Lease, take
from lth.store.locks import claimed, locked, saying
from lth.ticket import Trained


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lease"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """All times a hundredth; a thread that gives signs of life, begun by a test before, does not see these leases."""
    monkeypatch.setattr(lease, "BEAT", 0.1)
    monkeypatch.setattr(lease, "PATIENCE", 0.6)
    monkeypatch.setattr(lease, "_beating", cache(lambda: None))
    monkeypatch.setattr(lease, "_held", {})


def content(**different: Any) -> bytes:
    """The lease of a process of another host."""
    held = {"host": "elsewhere", "pid": 1, "token": "0" * 32, "since": "1970-01-01T00:00:00+00:00", "beat": 3}
    return json.dumps({**held, "facts": {}, "place": "0" * 8, "started": 7, **different}).encode()


def owned(path: Path) -> Lease:
    taken = take(path)
    assert taken is not None
    return taken


def names(path: Path) -> list[str]:
    return [file.name for file in path.parent.iterdir()]


def waited(path: Path) -> float:
    """Seconds until the lease can be taken; it is released again."""
    begun = time.monotonic()
    with locked(path, saying("never")):
        return time.monotonic() - begun


# ---- one process


def test_one_holds_a_lease_until_it_is_released(path: Path) -> None:
    first = owned(path)
    assert take(path) is None
    first.release()
    assert names(path) == []
    owned(path).release()
    first.release()
    assert take(path.parent / "no such folder" / "lease") is None


@pytest.mark.usefixtures("quick")
def test_a_lease_stays_its_file_when_the_process_changes_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    first = owned(Path("lease"))
    monkeypatch.chdir(tmp_path / "there")
    second = owned(Path("lease"))
    with caplog.at_level("INFO", "lth"):
        first.refresh()
    assert caplog.messages == []
    assert [held.beat for place in ("here", "there") if (held := look(tmp_path / place / "lease"))] == [1, 0]
    first.release()
    assert second.is_own()
    assert [*tmp_path.glob("*/lease")] == [tmp_path / "there" / "lease"]
    second.release()


@pytest.mark.usefixtures("quick")
def test_a_lease_tells_whose_it_is_and_what_they_are_at(path: Path) -> None:
    own = take(path, {"ticket": "ticket, replicate 1, level 0"})
    assert own is not None
    held = look(path)
    assert held is not None
    assert (held.pid, held.host, held.token, held.beat) == (os.getpid(), os.uname().nodename, own.token, 0)
    own.note(step=5, steps=20)
    assert look(path) == held
    own.refresh()
    after = look(path)
    assert after is not None
    assert (after.beat, after.since) == (1, held.since)
    assert after.facts == {"ticket": "ticket, replicate 1, level 0", "step": 5, "steps": 20}
    own.note(ticket=1000 * "long ")
    own.refresh()
    own.note(ticket="short")
    own.refresh()
    assert json.loads(path.read_bytes())["facts"]["ticket"] == "short"
    own.release()
    assert look(path) is None


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    "found",
    [
        b"[1]",
        content(),
        *(pytest.param(found, marks=pytest.mark.long) for found in [b"{", b"[" * 5000, b"\0" * 512, b""]),
        pytest.param(content(pid="x"), marks=pytest.mark.long),
    ],
)
def test_one_that_stays_as_it_is_can_be_taken_after_the_patience_whatever_is_in_it(path: Path, found: bytes) -> None:
    path.write_bytes(found)
    assert 0.6 <= waited(path) < 30
    assert names(path) == []


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("moment", [0.0, 4e9])
def test_no_clock_but_that_of_the_watcher_counts(path: Path, moment: float) -> None:
    """A file from 1970, or from 2096, and a lease that says it is from another century."""
    path.write_bytes(content(since="2100-01-01T00:00:00+00:00"))
    os.utime(path, (moment, moment))
    assert take(path) is None
    time.sleep(0.3)
    os.utime(path)
    assert take(path) is None
    time.sleep(0.35)
    owned(path).release()


@pytest.mark.usefixtures("quick")
def test_one_that_changes_now_and_then_is_never_taken(path: Path) -> None:
    for beat in range(10):
        path.write_bytes(content(beat=beat))
        os.utime(path, (0, 0))
        assert take(path) is None
        time.sleep(0.15)
    assert look(path) == Held("elsewhere", 1, "0" * 32, "1970-01-01T00:00:00+00:00", 9, {}, "0" * 8, 7)


def test_the_owner_is_dead_if_another_process_has_its_number(path: Path) -> None:
    """Only on this host, and in this container of it."""
    own = {"pid": os.getpid(), "started": started(os.getpid())}
    for given, dead in [({}, False), ({"started": 1}, True), ({"pid": 2**22 + 1}, True), ({"started": 0}, False)]:
        for place in (here(), "0" * 8):
            path.write_bytes(content(**{**own, **given}, place=place))
            held = look(path)
            assert held is not None
            assert is_dead_here(held) == (dead and place == here())


def test_what_is_taken_for_another_is_put_back(path: Path) -> None:
    path.write_bytes(content())
    assert not exclusive.remove(path, lambda found: found == content(beat=4))
    assert path.read_bytes() == content()
    assert names(path) == ["lease"]
    assert exclusive.remove(path, lambda found: found == content())
    assert names(path) == []


def test_an_owner_whose_lease_vanished_writes_it_again_and_never_into_that_of_another(path: Path) -> None:
    own = owned(path)
    path.unlink()
    own.refresh()
    held = look(path)
    assert held is not None
    assert held.token == own.token
    path.write_bytes(content())
    own.refresh()
    own.release()
    assert path.read_bytes() == content()
    assert names(path) == ["lease"]


def test_a_folder_that_cannot_be_written_to_is_named_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"can't write to .*file: Not a directory\. Set root= "):
        take(tmp_path / "file" / "lease")
    with (
        shell.file_size_limit(100),
        pytest.raises(OSError, match=r"can't write to .*: File too large\. Set root= "),
    ):
        take(tmp_path / "lease")
    assert [file.name for file in tmp_path.iterdir()] == ["file"]
    (tmp_path / "lease").mkdir()
    with pytest.raises(OSError, match=r"lease can't be read \(not a regular file\): move it away"):
        take(tmp_path / "lease")


def test_a_link_to_nothing_in_the_place_of_a_lease_is_named(path: Path) -> None:
    path.symlink_to(path.parent / "nothing")
    with pytest.raises(OSError, match=r"lease can't be read \(a broken symbolic link\): move it away"):
        take(path)


def test_a_file_system_without_links_will_do(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: Any) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    own = owned(path)
    assert take(path) is None
    own.refresh()
    assert names(path) == ["lease"]
    own.release()
    assert names(path) == []


def test_an_answer_that_the_network_lost_is_no_other_owner(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file was created, the answer got lost, and what the client asked again says that there is a file."""
    link = os.link

    def twice(*given: Any) -> None:
        link(*given)
        link(*given)

    monkeypatch.setattr(os, "link", twice)
    owned(path).release()
    assert names(path) == []


@pytest.mark.usefixtures("quick")
def test_who_needs_a_lease_of_the_living_is_told_in_the_end(path: Path) -> None:
    own = owned(path)
    wait, begun = saying("it is busy"), time.monotonic()

    def alive() -> None:
        own.refresh()
        wait()

    with pytest.raises(UserError, match="it is busy"), locked(path, alive):
        pass
    assert 0.7 < time.monotonic() - begun < 30
    own.release()


# ---- several processes


def child(work: Callable[[], Any]) -> int:
    """A child that works and then sleeps; its id, once it has worked."""
    source, sink = os.pipe()

    def both() -> None:
        work()
        os.write(sink, b"done")
        time.sleep(60)

    number = forked(both)
    assert os.read(source, 4) == b"done"
    os.close(source)
    os.close(sink)
    return number


def end(number: int) -> None:
    os.kill(number, signal.SIGKILL)
    ended(number)


@pytest.mark.parametrize("buried", [True, False])
def test_a_lease_of_a_process_that_was_killed_here_is_taken_at_once(path: Path, buried: bool) -> None:
    number = child(lambda: owned(path))
    try:
        assert take(path) is None
    finally:
        os.kill(number, signal.SIGKILL)
    if not buried:  # its parent has not asked yet how it ended
        os.waitid(os.P_PID, number, os.WEXITED | os.WNOWAIT)
    else:
        ended(number)
    assert waited(path) < 30
    assert names(path) == []
    if not buried:
        ended(number)


@pytest.mark.usefixtures("quick")
def test_a_fork_neither_owns_nor_refreshes_the_leases_of_its_parent(path: Path) -> None:
    own = owned(path)
    before = path.read_bytes()

    def work() -> None:
        own.refresh()
        own.release()
        assert take(path) is None
        assert not lease._held

    assert ended(forked(work)) == 0
    assert path.read_bytes() == before
    own.release()
    assert names(path) == []


def stopped_owner(path: Path, beat: float) -> tuple[int, int]:
    """A child that holds a lease and is stopped. Once it goes on for some beats, it releases the lease and writes
    whether that still was its own.
    """
    source, sink = os.pipe()

    def work() -> None:
        lease.BEAT = beat
        own = owned(path)
        os.write(sink, b".")
        time.sleep(6 * beat)
        assert own.is_own()
        os.kill(os.getpid(), signal.SIGSTOP)
        time.sleep(3 * beat)
        os.write(sink, str(own.is_own()).encode())
        own.release()

    number = forked(work, round(20 * beat) + 60)
    os.close(sink)  # so that the end of the child is seen
    assert os.read(source, 1) == b"."
    return number, source


@pytest.mark.parametrize("beat", [0.1, pytest.param(10.0, marks=pytest.mark.slow)])
def test_an_owner_that_stood_still_leaves_its_lease_to_the_next(
    path: Path, monkeypatch: pytest.MonkeyPatch, beat: float
) -> None:
    """And one that gives signs of life keeps it for longer than the patience."""
    monkeypatch.setattr(lease, "BEAT", beat)
    monkeypatch.setattr(lease, "PATIENCE", 6 * beat)
    number, source = stopped_owner(path, beat)
    begun = time.monotonic()
    with locked(path, lambda: None):
        assert 11 * beat < time.monotonic() - begun < 14 * beat + 10
        mine = look(path)
        os.kill(number, signal.SIGCONT)
        assert os.read(source, 10) == b"False"
        assert ended(number) == 0
        now = look(path)
        assert mine is not None
        assert now is not None
        assert (now.pid, now.token) == (os.getpid(), mine.token)
    assert names(path) == []


def test_a_death_at_any_moment_of_a_takeover_leaves_nothing_stuck(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "PATIENCE", 0.0)
    kills = 0
    for number in range(1, 100):
        path.write_bytes(content())
        take(path)

        def work(number: int = number) -> None:
            kill_at(number, path.parent)
            owned(path).release()

        killed = ended(forked(work)) != 0
        kills += killed
        owned(path).release()
        lease.clear(path)
        sweep(path.parent)
        assert names(path) == []
        if not killed:
            break
    assert 8 <= kills < 30


def counting(path: Path, times: int) -> None:
    """Count a file up, which goes wrong if another process does so at the same time."""
    for _ in range(times):
        with locked(path, lambda: None):
            count = int((path.parent / "count").read_text())
            time.sleep(0.001)
            (path.parent / "count").write_text(str(count + 1))


@pytest.mark.long
def test_six_processes_that_count_lose_nothing_when_others_are_killed(path: Path) -> None:
    (path.parent / "count").write_text("0")
    victims = [child(lambda: owned(path))]
    children = [forked(lambda: counting(path, 20)) for _ in range(6)]
    end(victims[0])
    assert [ended(each) for each in children] == [0] * 6
    assert (path.parent / "count").read_text() == "120"
    assert names(path) == ["count"]


# ---- stores


@pytest.mark.long
def test_of_six_processes_on_the_same_work_one_trains_each(tmp_path: Path) -> None:
    """Three jobs, each run by two processes; their dense nets are the same."""
    jobs = [JOB, replace(JOB, name="other"), replace(JOB, name="random", criterion=criterion.random)]

    def work(number: int) -> None:
        begun, trained = ran(jobs[number % 3], tmp_path / "shared")
        said = {"begun": begun, "results": str(results_of(trained))}
        (tmp_path / f"{number}.json").write_text(json.dumps(said), encoding="utf-8")

    children = [forked(lambda n=n: work(n)) for n in range(6)]
    assert [ended(each) for each in children] == [0] * 6
    said = [json.loads((tmp_path / f"{n}.json").read_text()) for n in range(6)]
    trainings = ["reinitialize, replicate 1, level 1"] * 2 + ["ticket, replicate 1, level 0"]
    assert sorted(each for s in said for each in s["begun"]) == trainings + ["ticket, replicate 1, level 1"] * 2
    assert said[0]["results"] == said[1]["results"] == said[3]["results"] == said[4]["results"]
    assert said[2]["results"] == said[5]["results"]
    assert not [*tmp_path.glob("shared/**/*lease")]


@pytest.mark.long
def test_two_owners_write_equal_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run is stopped in the middle of a training; another takes over and ends; the first goes on and ends too."""
    monkeypatch.setattr(lease, "BEAT", 0.1)
    monkeypatch.setattr(lease, "PATIENCE", 0.6)
    ran(JOB, tmp_path / "undisturbed")
    root = tmp_path / "shared"

    class Stops(Ears):
        def stepped(self, ticket: Any, step: int, steps: int) -> None:
            if step == 13 and ticket.level == 0:
                os.kill(os.getpid(), signal.SIGSTOP)

    number = forked(lambda: job.run(JOB, Store(root), Stops(), lambda _: None))
    os.waitpid(number, os.WUNTRACED)
    (file,) = root.glob("trained/*/lease")
    held = look(file)
    assert held is not None
    assert held.facts["experiment"] == "small"
    assert held.facts["ticket"] == "ticket, replicate 1, level 0"
    assert (root / "experiments" / "small" / f"{held.facts['job']}.json").parent.name == "small"
    begun, _ = ran(JOB, root)
    assert len(begun) == 3
    theirs = {each: each.stat().st_ino for each in root.glob("trained/*/result.json")}
    os.kill(number, signal.SIGCONT)
    assert ended(number) == 0
    assert outcome(root) == outcome(tmp_path / "undisturbed")
    assert theirs == {each: each.stat().st_ino for each in root.glob("trained/*/result.json")}


@pytest.mark.usefixtures("quick")
def test_the_step_that_a_training_has_reached_can_be_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    class Looks(engine.Callback):
        def stepped(self, ticket: Any, step: int, steps: int) -> None:
            (file,) = tmp_path.glob("trained/*/lease")
            (own,) = [each for each in lease._held.values() if each.path == file]
            own.refresh()
            held = look(file)
            assert held is not None
            seen.append((held.facts["ticket"], held.facts["step"], held.facts["steps"]))

    monkeypatch.setattr(noted, "EVERY", 0.0)
    job.run(JOB, Store(tmp_path), Looks(), lambda _: None)
    assert ("ticket, replicate 1, level 0", 13, 20) in seen
    assert ("reinitialize, replicate 1, level 1", 20, 20) in seen


@pytest.fixture
def orphan(tmp_path: Path) -> Path:
    """The entry of a training that no record names."""
    folder = tmp_path / "trained" / ("0" * 20)
    folder.mkdir(parents=True)
    (folder / "result.json").touch()
    return folder


@pytest.mark.usefixtures("quick")
def test_garbage_of_a_dead_process_of_another_host_is_deleted_once_that_is_known(orphan: Path, tmp_path: Path) -> None:
    (orphan / "lease").write_bytes(content())
    assert upkeep.carry_out(upkeep.garbage(tmp_path)) == (0, 1, 0)
    assert [*orphan.parent.iterdir()] == []


@pytest.mark.usefixtures("quick")
def test_what_a_living_process_of_another_host_holds_stays(orphan: Path, tmp_path: Path) -> None:
    def beats() -> None:
        for beat in range(100):
            (orphan / "other").write_bytes(content(beat=beat))
            (orphan / "other").rename(orphan / "lease")
            time.sleep(0.1)

    number = forked(beats)
    try:
        while not (orphan / "lease").exists():
            time.sleep(0.01)
        assert upkeep.carry_out(upkeep.garbage(tmp_path)) == (0, 0, 1)
    finally:
        end(number)
    assert (orphan / "result.json").exists()


def test_what_is_deleted_while_a_job_reads_it_is_trained_again(tmp_path: Path) -> None:
    """The deletion comes when the job has read a training and no record names it yet."""
    recipe, calls, told = JOB.recipe, [], []
    ticket = half_pruned(recipe)

    def train(tickets: Any, **options: Any) -> Any:
        calls.append(str(tickets[0]))
        return engine.train(tickets, recipe=recipe, device="cpu", **options)

    def finished(trained: Any) -> None:
        told.append(trained.facts["stored"])
        if trained.facts["stored"]:
            assert upkeep.carry_out(upkeep.garbage(tmp_path)) == (0, 1, 0)

    (first,) = Store(tmp_path).cached(train, recipe, finished)([ticket])
    (again,) = Store(tmp_path).cached(train, recipe, finished)([ticket])
    assert (len(calls), told) == (2, [False, True])
    assert again.evaluations.equals(first.evaluations)
    assert again.weights().keys() == first.weights().keys()


def test_a_training_is_reported_before_its_lease_is_released(tmp_path: Path) -> None:
    """So that a record names it by then."""
    recipe, held = JOB.recipe, list[bool]()

    def finished(trained: Trained) -> None:
        held.append((tmp_path / "trained" / str(trained.facts["digest"]) / "lease").exists())

    train = partial(engine.train, recipe=recipe, device="cpu")
    Store(tmp_path).cached(train, recipe, finished)([half_pruned(recipe)])
    assert held == [True]


def test_what_comes_to_be_named_while_it_is_deleted_is_put_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job has read a training, and names it just when the folder is out of sight."""
    ran(JOB, tmp_path)
    (record,) = tmp_path.glob("experiments/*/*.json")
    record.rename(tmp_path / "elsewhere")
    before, plan, read = shell.results(tmp_path), upkeep.garbage(tmp_path), upkeep.every_record

    def named_now(root: Path) -> Any:
        assert not [*tmp_path.glob("trained/[0-9]*")]
        (tmp_path / "elsewhere").rename(record)
        return read(root)

    monkeypatch.setattr(upkeep, "every_record", named_now)
    assert upkeep.carry_out(plan)[1:] == (0, 3)
    record.rename(tmp_path / "elsewhere")
    assert shell.results(tmp_path) == before


def test_nothing_is_waited_for_while_something_is_held(tmp_path: Path) -> None:
    """Of two entries one is held: the other is claimed at once."""
    one, other = tmp_path / "one", tmp_path / "other"
    with claimed([one], lambda: None), claimed([one, other], lambda: pytest.fail("it waits")) as leases:
        assert [*leases] == [other]
    assert [*tmp_path.glob("*/*")] == []
