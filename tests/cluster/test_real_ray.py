"""Sweeps on a real Ray cluster of two nodes on this machine: `make test-ray`.

The nodes are two `ray start` in a folder of their own, so that nothing of a job can depend on the folder of its driver.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import shell

import lth

pytestmark = pytest.mark.ray

ROOT = Path(lth.__file__).parent.parent
RAY = Path(sys.executable).with_name("ray")
START = 120.0  # seconds that a node may take
OWN = """
import os, signal
from pathlib import Path

def smallest(net, trained, batch):
    Path(f"ran-{trained.ticket.replicate}-{os.getpid()}").touch()
    return {name: trained.weights()[name].abs() for name in trained.mask}

def killed(net, trained, batch):
    if trained.ticket.replicate == 2 and not Path("killed").exists():
        Path("killed").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return smallest(net, trained, batch)

def late(step, at=0):
    if step == at:
        raise ArithmeticError("a rate of its own")
    return 1.0
"""


class Node:
    """One `ray start`, whose children end with it. Its log is a file of the folder."""

    def __init__(self, folder: Path, name: str, *options: str) -> None:
        command = [str(RAY), "start", *options, "--block", "--disable-usage-stats", "--num-cpus=1"]
        self.log, self.name = folder / f"{name}.log", name
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [*command, "--object-store-memory=100000000"],
                cwd=folder / "cwd",
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait(self) -> None:
        """Return once the node runs; raises an error with its log."""
        until = time.monotonic() + START
        while "Ray runtime started" not in (said := self.log.read_text(errors="replace")):
            if time.monotonic() > until or self.process.poll() is not None:
                raise RuntimeError(f"{self.name} did not start:\n{said}")
            time.sleep(0.2)

    def stop(self) -> None:
        """End the node, and whatever it leaves behind."""
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(30)
        for pid in [self.process.pid, *_session(self.process.pid)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(30)
        until = time.monotonic() + 10
        while (left := _session(self.process.pid)) and time.monotonic() < until:
            time.sleep(0.1)
        assert left == [], f"{self.name} left processes behind"


def _session(leader: int) -> list[int]:
    """Processes of a session."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, its = stat.read_text(encoding="utf-8").rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(its) == leader and state != "Z":
            found.append(int(stat.parent.name))
    return found


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture(scope="module")
def cluster() -> Iterator[Path]:
    """The folder in which the nodes of a cluster run, which RAY_ADDRESS names to its drivers."""
    if not RAY.exists():
        pytest.fail("Ray is not installed here: pip install '.[ray]' (make test-ray does)")
    folder, address = Path(tempfile.mkdtemp(prefix="ray-")), f"127.0.0.1:{free_port()}"  # sockets need a short path
    (folder / "cwd").mkdir()
    given = {"RAY_AUTH_MODE": "disabled", "OMP_WAIT_POLICY": "PASSIVE", "RAY_DEDUP_LOGS": "0"}
    given["RAY_raylet_start_wait_time_s"] = f"{START:.0f}"  # a busy machine takes longer than Ray's 30 s
    nodes = list[Node]()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in given.items():
            patch.setenv(name, value)
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.delenv("RAY_ADDRESS", raising=False)
        try:
            port, place = address.rpartition(":")[2], folder / "tmp"
            for options in (["--head", f"--port={port}", f"--temp-dir={place}"], [f"--address={address}"]):
                nodes.append(Node(folder, f"node-{len(nodes)}", *options))
                nodes[-1].wait()
            patch.setenv("RAY_ADDRESS", address)
            yield folder / "cwd"
        finally:
            for node in reversed(nodes):
                node.stop()
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def _own(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(OWN, encoding="utf-8")


def swept(*words: str) -> tuple[int, str]:
    """Run a sweep of tiny jobs on the cluster, in a process of its own; returns its exit code and what it said."""
    with shell.started("run", "-m", *shell.TINY, "hydra/launcher=ray_cluster", *words) as process:
        said = process.communicate(timeout=400)[0]
    return process.returncode, said


def test_a_sweep_on_a_cluster_stores_what_a_local_one_does_in_the_folder_of_its_driver(
    cluster: Path, tmp_path: Path
) -> None:
    words = ["criterion._target_=mine.smallest", "replicate=1,2,3"]
    code, said = swept(*words, "root=far")
    assert code == 0, said
    assert [*cluster.iterdir()] == []
    assert sorted({file.name.split("-")[1] for file in tmp_path.glob("ran-*")}) == ["1", "2", "3"]
    assert shell.run("-m", *words, "root=near") == 0
    far, near = (shell.results(tmp_path / root) for root in ("far", "near"))
    assert len(far) > 12
    assert far == near  # weights and curves byte by byte
    assert len([*tmp_path.glob("far/sweeps/*/*/[012]")]) == 3


def test_a_job_that_fails_is_named_and_one_whose_process_is_killed_is_run_again(cluster: Path, tmp_path: Path) -> None:
    rate = ["~lr", "+lr._target_=mine.late", "+lr._partial_=true", "+lr.at=13,99"]
    code, said = swept("criterion._target_=mine.killed", *rate, "replicate=1,2", "root=far")
    assert code == 1
    assert "Traceback" not in said
    failed = [line for line in said.splitlines() if "raised ArithmeticError: a rate of its own" in line]
    assert any("replicate 1: failed" in line for line in failed)
    assert "+lr.at=13" in said
    assert "not all jobs of the sweep finished" in said
    assert (tmp_path / "killed").exists()
    found = sorted(
        (r["columns"]["lr.at"], r["columns"]["replicate"], r["status"]) for r in shell.records(tmp_path / "far")
    )
    assert found == [(13, 1, "failed"), (13, 2, "failed"), (99, 1, "finished"), (99, 2, "finished")]
    assert [*cluster.iterdir()] == []


def test_without_a_cluster_the_sweep_says_so(cluster: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{free_port()}")
    code, said = swept("replicate=1,2")
    assert code == 1
    assert "lth run: no Ray cluster answers at" in said
    assert "Traceback" not in said
