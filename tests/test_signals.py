"""Signals that reach a job: what is saved, what goes on, and what the record says."""

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.numpy
import shell
from shell import run

from lth.cli import handlers, signals

# A learning rate that once sends signals to its own process at step 13, and looks at what is saved at step 15.
MINE = """
import os, shutil, signal, time
from pathlib import Path

def constant(step):
    if step == 13 and Path("signals").exists():
        for name in Path("signals").read_text().split():
            signal.raise_signal(getattr(signal, name))
        Path("signals").unlink()
        Path("sent").touch()
    if step == 15 and Path("sent").exists():
        for file in Path("here").glob("trained/*/partial.safetensors"):
            shutil.copy(file, "saved")
    return 1.0
"""
OWN = ["lr._target_=mine.constant", "~lr.warmup"]


def disturbed(*names: str, given: tuple[str, ...] = ("levels=0",)) -> int:
    """The exit code of a job that gets these signals at step 13."""
    Path("mine.py").write_text(MINE, encoding="utf-8")
    Path("signals").write_text(" ".join(names), encoding="utf-8")
    return run(*OWN, *given, "root=here")


def undisturbed(*given: str) -> None:
    """Compare with a job that got none, after the same command is given again."""
    for root in ("here", "undisturbed"):
        assert run(*OWN, *(given or ("levels=0",)), f"root={root}") == 0
    assert shell.results(Path("here")) == shell.results(Path("undisturbed"))


def status() -> list[tuple[str, str]]:
    return [(record["status"], record["error"]) for record in shell.records(Path("here"))]


def saved_step(file: Path = Path("saved")) -> int:
    return int(safetensors.numpy.load_file(file)["step"])


@pytest.mark.long
@pytest.mark.parametrize("names", [["SIGTERM"], ["SIGUSR1", "SIGTERM", "SIGTERM"], ["SIGHUP", "SIGTERM"]])
def test_sigterm_and_sighup_save_and_stop_however_often_they_are_sent_at_once(
    names: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert disturbed(*names) == 130
    assert "stopped. All progress is saved under here; the same command continues from here." in capsys.readouterr().out
    assert status() == [("interrupted", "")]
    (partial,) = Path("here").glob("trained/*/partial.safetensors")
    assert saved_step(partial) == 14
    if len(names) == 1:
        undisturbed()


@pytest.mark.long
@pytest.mark.parametrize("names", [["SIGTERM", "SIGTERM"], ["SIGUSR1"], ["SIGUSR2", "SIGTERM"]])
def test_in_slurm_all_these_signals_save_and_the_training_goes_on(
    names: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    assert disturbed(*names) == 0
    said = capsys.readouterr().out
    assert all(said.count(f"{name}: all progress is saved; the training goes on") == 1 for name in names)
    assert saved_step() == 14
    assert status() == [("finished", "")]
    if len(names) == 1:
        undisturbed()


@pytest.mark.long
def test_without_a_handler_before_a_notice_saves_and_the_training_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert disturbed("SIGUSR2") == 0
    assert (saved_step(), status()) == (14, [("finished", "")])


@pytest.mark.long
def test_in_slurm_sigterm_at_the_end_of_the_grace_time_saves_and_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    monkeypatch.setattr(signals, "AT_ONCE", 0.0)
    assert disturbed("SIGTERM", "SIGTERM") == 130
    assert status() == [("interrupted", "")]


@pytest.fixture
def handled(request: pytest.FixtureRequest) -> Any:
    """Handler of SIGUSR2 that is set before, as submitit's is: notes the step that was saved, then raises."""
    steps: list[int] = []

    def handler(number: int, frame: object) -> None:
        (partial,) = Path("here").glob("trained/*/partial.safetensors")
        steps.append(saved_step(partial))
        if request.param:
            raise request.param

    before = signal.signal(signal.SIGUSR2, handler)
    yield steps
    assert signal.getsignal(signal.SIGUSR2) is handler
    signal.signal(signal.SIGUSR2, before)


@pytest.mark.long
@pytest.mark.parametrize(
    ("handled", "code", "ends"),
    [
        (None, 0, ("finished", "")),
        (SystemExit(7), 7, ("interrupted", "")),
        (RuntimeError("Job not requeued because: timed-out too many times."), 1, ("interrupted", "")),
    ],
    indirect=["handled"],
)
def test_a_signal_is_handed_on_once_everything_is_saved(
    handled: list[int], code: int, ends: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert disturbed("SIGUSR2") == code
    assert handled == [14]
    assert status() == [ends]
    said = capsys.readouterr().out
    sentence = "stopped: Job not requeued because: timed-out too many times. All progress is saved under here;"
    assert (sentence in " ".join(said.split())) == (code == 1)
    if code == 7:
        undisturbed()


@pytest.mark.long
@pytest.mark.parametrize(
    ("how", "code"), [(None, 0), (SystemExit(7), 7), (RuntimeError("Job not requeued because: too often."), 1)]
)
def test_a_signal_that_comes_before_anything_is_trained_is_handed_on_at_once(
    how: BaseException | None, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def handler(number: int, frame: object) -> None:
        if how:
            raise how

    Path("mine.py").write_text(f"import signal\nsignal.raise_signal(signal.SIGUSR2)\n{MINE}", encoding="utf-8")
    before = signal.signal(signal.SIGUSR2, handler)
    try:
        assert run(*OWN, "levels=0", "root=here") == code
        assert signal.getsignal(signal.SIGUSR2) is handler
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert ("stopped: Job not requeued because: too often." in " ".join(capsys.readouterr().out.split())) == (code == 1)


@pytest.mark.long
def test_a_signal_that_comes_behind_the_trainings_is_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def handler(number: int, frame: object) -> None:
        raise SystemExit(7)

    before = signal.signal(signal.SIGUSR2, handler)
    monkeypatch.setattr("lth.cli.results.show", lambda *_: signal.raise_signal(signal.SIGUSR2))
    try:
        assert run("levels=0", "root=here") == 7
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert status() == [("finished", "")]


@pytest.mark.long
def test_tickets_that_are_trained_side_by_side_are_all_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    given = ("levels=0", "replicate=[1,2]", "width=2")
    assert disturbed("SIGTERM", given=given) == 0
    assert saved_step() == 14
    undisturbed(*given)


@pytest.mark.long
def test_handlers_are_put_back_and_lightnings_is_never_in_effect(monkeypatch: pytest.MonkeyPatch) -> None:
    from lth.engine.kernel.plain import Plain

    numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2]
    before, seen = [signal.getsignal(number) for number in numbers], set()
    take = Plain.take

    def look(self: Any, loop: Any, batches: Any) -> Any:
        seen.update(getattr(signal.getsignal(number), "__qualname__", "") for number in numbers)
        return take(self, loop, batches)

    monkeypatch.setattr(Plain, "take", look)
    assert run("levels=0") == 0
    assert seen == {"Signals._interrupt", "Signals._terminate", "Signals._notice"}
    assert [signal.getsignal(number) for number in numbers] == before
    assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


@pytest.mark.long
def test_a_job_in_another_thread_runs_without_handlers() -> None:
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(run("levels=0", "root=here")))
    thread.start()
    thread.join()
    assert (codes, status()) == ([0], [("finished", "")])


@pytest.mark.parametrize("ignored", [False, True])
def test_a_hangup_stops_unless_it_is_ignored_as_under_nohup(ignored: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "leave_terminal", lambda: None)
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN if ignored else signal.SIG_DFL)
    taken = signals.Signals()
    try:
        with taken.handled(), handlers.outlived():
            signal.raise_signal(signal.SIGHUP)
            assert taken.interrupted == (not ignored)
        assert signal.getsignal(signal.SIGHUP) == (signal.SIG_IGN if ignored else signal.SIG_DFL)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_ctrl_c_that_comes_twice_at_once_is_one_and_a_later_one_stops_at_once() -> None:
    now = [0.0]
    taken = signals.Signals(lambda: now[0])
    with taken.handled():
        for now[0] in (0.0, 0.1, 0.5):
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(signals.Interrupted):  # between two steps, where it saves
            taken.check()
        now[0] = 0.6
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    after = signals.Signals(lambda: now[0])
    with after.handled():
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):  # that stop has begun
            signal.raise_signal(signal.SIGINT)


def test_a_job_that_waits_for_another_hands_signals_on() -> None:
    taken = signals.Signals()
    with taken.handled():
        signal.raise_signal(signal.SIGUSR1)
        assert taken.waiting == [signal.SIGUSR1]
        assert taken.hand_on() == ["SIGUSR1"]
        assert taken.waiting == []


# ---- real processes


def until(done: Callable[[], object], process: Any) -> None:
    end = time.monotonic() + 120
    while not done():
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.1)


# A factor of the learning rate that tells that its process trains; steps of the second one take longer.
PACED = """
import os, time
from functools import cache
from pathlib import Path

@cache
def pace():
    return 3.0 if [*Path().glob("trains-*")] else 0.3

def paced(step):
    seconds = pace()
    Path(f"trains-{os.getpid()}").touch()
    time.sleep(seconds)
    return 1.0
"""
LONG = [*shell.TINY, "steps=1000000", "evaluate_every=100000", "levels=0", "root=here"]


@pytest.mark.parametrize("slurm", [False, True])
def test_a_process_that_is_told_to_end_before_it_trains(slurm: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """By SIGHUP, and outside Slurm by SIGTERM, it ends as with Ctrl-C; after SIGUSR1 it goes on."""
    monkeypatch.setenv("SLURM_JOB_ID", "1" if slurm else "")
    code = """
import os, signal
from lth.cli.handlers import outlived
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # it is ignored below nohup
with outlived():
    os.kill(os.getpid(), signal.SIGUSR1)
    os.kill(os.getpid(), signal.SIGUSR2)
    print("goes on", flush=True)
    os.kill(os.getpid(), signal.SIGTERM)
    print("and on", flush=True)
    os.kill(os.getpid(), signal.SIGHUP)
"""
    with shell.started(code=code) as process:
        said = process.communicate(timeout=60)[0]
    assert ("goes on" in said, "and on" in said) == (True, slurm)
    assert "KeyboardInterrupt" in said


@pytest.mark.long
def test_a_process_that_is_told_to_end_saves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    with shell.started("run", *LONG, "save_every=0.2") as process:
        until(lambda: [*Path("here").glob("trained/*/partial.safetensors")], process)  # that of save_every
        os.kill(process.pid, signal.SIGTERM)
        said = process.communicate(timeout=60)[0]
    assert process.returncode == 130, said
    assert "All progress is saved" in said
    assert status() == [("interrupted", "")]


@pytest.mark.slow
def test_ctrl_c_waits_until_the_jobs_of_a_parallel_sweep_have_saved() -> None:
    """A step of the wide net takes a second or more; the terminal sends the signal to all processes."""
    wide = ["model=mlp", "model.hidden=[1500,1500]", "batch_size=2000", "data=mnist_5k", "levels=0", "root=here"]
    parallel = ["replicate=1,2", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "tracking=none", "steps=1000"]
    with shell.started("run", "-m", *wide, *parallel) as process:
        until(lambda: len([*Path("here").glob("trained/*/lease")]) == 2, process)
        time.sleep(10)
        os.killpg(process.pid, signal.SIGINT)
        said = process.communicate(timeout=60)[0]
    assert process.returncode == 130, said
    assert status() == [("interrupted", "")] * 2
    assert len([*Path("here").glob("trained/*/partial.safetensors")]) == 2


@pytest.mark.slow
@pytest.mark.parametrize(("slurm", "name"), [(False, "SIGTERM"), (True, "SIGTERM"), (False, "SIGHUP")])
def test_a_parallel_sweep_passes_signals_on_to_its_jobs(
    slurm: bool, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the launcher gets the signal, as a container's first process does."""
    if name == "SIGHUP" and signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
        pytest.skip("SIGHUP is ignored here, as under nohup")
    monkeypatch.setenv("SLURM_JOB_ID", "1" if slurm else "")
    parallel = ["replicate=1,2,3", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    Path("mine.py").write_text(PACED, encoding="utf-8")
    paced = ["lr._target_=mine.paced", "~lr.warmup"]
    with shell.started("run", "-m", *LONG, *parallel, *paced) as process:
        until(lambda: len([*Path().glob("trains-*")]) == 2, process)
        os.kill(process.pid, getattr(signal, name))
        if slurm:
            until(lambda: len([*Path("here").glob("trained/*/partial.safetensors")]) == 2, process)
            assert status() == [("running", "")] * 2
            time.sleep(signals.AT_ONCE)
            os.kill(process.pid, signal.SIGTERM)
        said = process.communicate(timeout=60)[0]
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert status() == [("interrupted", "")] * 2
    assert len([*Path("here").glob("trained/*/partial.safetensors")]) == 2
