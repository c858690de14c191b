"""A sweep on a real Slurm, of which one job diverges, one is killed, one is preempted and one runs out of time.

`make test-slurm` starts Slurm by slurm.sh beside this file; the test waits about six minutes, mostly for Slurm.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))

import shell

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.skipif(shutil.which("sbatch") is None, reason="no Slurm: make test-slurm installs one"),
]
JOBS = ["diverges", "killed", "preempted", "timed_out"]
# A learning rate that takes its time as long as there is a file with the name of its job.
MINE = """
import os, time
from pathlib import Path

def held(step, *, job):
    if Path(job).exists():
        Path(f"{job}.new").write_text(str(os.getpid()))
        Path(f"{job}.new").replace(f"{job}.pid")
        time.sleep(0.1)
    return 1e30 if job == "diverges" and step > 10 else 1.0
"""
TRAIN = [*shell.TINY[:-3], "steps=1000", "evaluate_every=250", "levels=1", "optimizer=sgd", "optimizer.lr=0.1"]
SWEEP = ["run", "-m", *TRAIN, "tracking=wandb", "lr._target_=mine.held", "~lr.warmup", f"+lr.job={','.join(JOBS)}"]
SLURM = ["hydra/launcher=slurm", "hydra.launcher.timeout_min=2", "hydra.launcher.signal_delay_s=20",
         "hydra.launcher.mem_gb=1"]  # fmt: skip


def until(done: Callable[[], object], seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, f"not within {seconds:.0f} s: {what}\n{_said('squeue')}"
        time.sleep(0.5)


def _said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def facts(array: str, number: int) -> dict[str, str]:
    """What Slurm knows of a job of the array; a job that waits to be restarted is told to wait no longer."""
    line = _said("scontrol", "-o", "show", "job", f"{array}_{number}")
    found = dict(re.findall(r"(\S+?)=(\S*)", line))
    if found.get("JobState") == "PENDING" and found.get("Restarts") != "0":
        _said("scontrol", "update", f"jobid={found['JobId']}", "StartTime=now")
    return found


def restarts(array: str, number: int) -> int:
    found = facts(array, number)
    return int(found.get("Restarts", 0)) if found.get("JobState") == "RUNNING" else 0


def test_of_a_sweep_only_the_job_that_diverges_and_the_one_that_is_killed_fail(tmp_path: Path) -> None:
    Path("mine.py").write_text(MINE, encoding="utf-8")
    for job in JOBS[1:]:
        Path(job).touch()
    with shell.started(*SWEEP, *SLURM, "root=there") as process:
        assert process.stdout is not None
        said = ""
        while not (found := re.search(r"4 jobs of Slurm, (\d+);", said)):
            said += (line := process.stdout.readline())
            assert line, said
        try:
            _disturb(found[1])
            until(lambda: [facts(found[1], n) for n in range(4)] and process.poll() is not None, 240, "the sweep ends")
            said += process.stdout.read()
        finally:
            _said("scancel", found[1])
            process.kill()
    _check_first(process.returncode, said)

    Path("killed").unlink()
    for root in ("there", "here"):
        with shell.started(*SWEEP, "hydra/launcher=basic", f"root={root}") as process:
            said = process.communicate(timeout=240)[0]
        assert process.returncode == 1, said
    assert shell.results(tmp_path / "there") == shell.results(tmp_path / "here")
    statuses = {record["columns"]["lr.job"]: record["status"] for record in shell.records(tmp_path / "there")}
    assert statuses == {job: "failed" if job == "diverges" else "finished" for job in JOBS}


def _disturb(array: str) -> None:
    """Kill, preempt and hold up the jobs."""
    killed, preempted, timed_out = 1, 2, 3
    for job in JOBS[1:]:
        until(Path(f"{job}.pid").exists, 120, f"{job} trains")
    os.kill(int(Path("killed.pid").read_text(encoding="utf-8")), signal.SIGKILL)
    until(lambda: facts(array, killed).get("JobState") == "FAILED", 30, "the killed job has failed")
    subprocess.run(["sbatch", "-p", "high", "--exclusive", "-o", os.devnull, "--wrap", "sleep 1"], check=True)
    until(lambda: _record("preempted")["status"] == "interrupted", 60, "preempted is recorded as interrupted")
    Path("preempted").unlink()
    until(lambda: restarts(array, preempted) == 1, 120, "preempted is requeued")
    until(lambda: restarts(array, timed_out) > 1, 240, "timed_out, which was preempted too, is requeued again")
    Path("timed_out").unlink()


def _record(job: str) -> dict[str, object]:
    return next(record for record in shell.records(Path("there")) if record["columns"]["lr.job"] == job)


def _check_first(code: int, said: str) -> None:
    assert code == 1
    assert "Traceback" not in said
    summary = said.partition("not all jobs of the sweep finished")[2]
    lines = [line for line in summary.splitlines() if line.startswith("job ")]
    assert [re.search(r"lr.job=(\w+)", line)[1] for line in lines] == ["diverges", "killed"]  # type: ignore[index]
    assert "ended without a result (FAILED); the same command continues it" in lines[1]
    logs = {job: next(Path("there/sweeps").glob(f"*/*/slurm/*_{n}/*_log.out")) for n, job in enumerate(JOBS)}
    assert "SIGTERM: all progress is saved; the training goes on" in logs["preempted"].read_text(encoding="utf-8")
    assert "SIGUSR2" in logs["timed_out"].read_text(encoding="utf-8")
    assert "ConnectionResetError" not in "".join(str(record["error"]) for record in shell.records(Path("there")))
    ids = {folder.name.rpartition("-")[2] for folder in Path("there/wandb").glob("offline-run-*")}
    assert len(ids) == len(JOBS)
