"""Jobs of a sweep whose processes are killed by the system."""

import os
import signal
import time
from pathlib import Path

import pytest
from shell import TINY, records, started

from lth.store import table

SWEEP = ["run", "-m", *TINY, "hydra/launcher=joblib", "replicate=1,2,3,4"]
# A criterion that kills a process when it scores replicate 2 for the first time.
KILLS = """
import os, signal
from pathlib import Path

def magnitude(net, trained, batch):
    if trained.ticket.replicate == 2 and not Path("killed").exists():
        Path("killed").touch()
        os.kill(os.{who}(), signal.SIGKILL)
    return {{name: trained.weights()[name].abs() for name in trained.mask}}
"""


def sweep(who: str) -> tuple[int, str]:
    Path("mine.py").write_text(KILLS.format(who=who), encoding="utf-8")
    with started(*SWEEP, "criterion._target_=mine.magnitude") as process:
        said = process.communicate(timeout=300)[0]
    return process.returncode, said


@pytest.mark.slow
def test_a_job_that_the_system_kills_takes_no_other_with_it() -> None:
    code, said = sweep("getpid")
    assert code == 1
    rows = table.tickets(Path("runs"))
    rows = rows[rows["replicate"] != 2]
    assert sorted(zip(rows["replicate"], rows["level"], strict=True)) == [(r, n) for r in (1, 3, 4) for n in (0, 1)]
    how = "its process was killed by SIGKILL, as when memory runs out; the same command continues it"
    summary = said.partition("not all jobs of the sweep finished")[2]
    (line,) = [line for line in summary.splitlines() if line.startswith("job ")]
    assert "replicate=2" in line
    assert line.endswith(how)
    assert "Traceback" not in said


@pytest.mark.slow
def test_a_worker_that_the_system_kills_takes_no_job_with_it() -> None:
    code, said = sweep("getppid")
    assert code == 0
    rows = table.tickets(Path("runs"))
    assert sorted(zip(rows["replicate"], rows["level"], strict=True)) == [(r, n) for r in (1, 2, 3, 4) for n in (0, 1)]
    assert "a worker of the launcher was killed; restarting the unfinished jobs" in said
    assert "Traceback" not in said


def children(session: int) -> list[str]:
    """Commands of the processes of a session, those that ended excepted."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, its = stat.read_text(encoding="utf-8").rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(its) == session and state != "Z":
            found.append((stat.parent / "cmdline").read_text(encoding="utf-8").replace("\0", " "))
    return found


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are found in /proc")
def test_no_process_outlives_a_sweep_that_is_killed() -> None:
    with started(*SWEEP, "steps=100000000", "evaluate_every=1000") as process:
        until = time.monotonic() + 120
        while len([record for record in _records() if record["status"] == "running"]) < 2 and time.monotonic() < until:
            time.sleep(0.2)
        assert len(children(process.pid)) > 3
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        until = time.monotonic() + 20
        while children(process.pid) and time.monotonic() < until:
            time.sleep(0.2)
        assert children(process.pid) == []


def _records() -> list[dict[str, object]]:
    try:
        return records(Path("runs"))
    except (OSError, ValueError):  # one is being written
        return []
