"""Two hosts that share a folder, played by two mounts (bindfs), each for processes of a namespace of their own.

A lock of one mount is unknown to the other, which also remembers names and facts of files for seconds, and neither host
sees the processes of the other. `make test-nfs` runs it, as root.
"""

import contextlib
import fcntl
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import shell

import lth
from lth.cli import main
from lth.store.held import Held, look
from lth.store.lease import take

pytestmark = pytest.mark.nfs
SWEEP = ["-m", "hydra/launcher=basic", "replicate=1,2,3", "model.hidden=[100]", "steps=1000", "evaluate_every=100"]
LEVELS = 2
SILENCE = 60  # seconds
TRAINED = re.compile(r"\[\d+/\d+\] .*?(ticket, replicate \d+, level \d+): .*, [\d.]+ s$", re.MULTILINE)
HOSTS = ["one", "two"]


@pytest.fixture
def mounts(tmp_path: Path) -> Iterator[dict[str, Path]]:
    """The same folder as each host sees it."""
    shared, mounts = tmp_path / "shared", {host: tmp_path / host for host in HOSTS}
    shared.mkdir()
    with contextlib.ExitStack() as stack:
        for mount in mounts.values():
            mount.mkdir()
            subprocess.run(["bindfs", "-o", "attr_timeout=3,entry_timeout=3", shared, mount], check=True)
            stack.callback(subprocess.run, ["umount", mount], check=True)
        yield mounts


class Host:
    """A host that runs a command, and what it said."""

    def __init__(self, name: str, arguments: list[str]) -> None:
        unshare = ["unshare", "--pid", "--uts", "--fork", "--kill-child", "--mount-proc"]
        named = ["sh", "-c", 'hostname "$0"; "$@"', name, sys.executable, "-m", "lth", *arguments]
        environment = {**os.environ, "PYTHONPATH": str(Path(lth.__file__).parent.parent), "PYTHONUNBUFFERED": "1"}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "stdin": subprocess.DEVNULL}
        self.process = subprocess.Popen([*unshare, *named], env=environment, text=True, **pipes)  # type: ignore[call-overload]
        self.said, self.reader = "", threading.Thread(target=self._listen, daemon=True)
        self.reader.start()

    def _listen(self) -> None:
        for line in self.process.stdout:
            self.said += line

    def end(self) -> int:
        """Wait for the end; the exit code."""
        code = self.process.wait(timeout=400)
        self.reader.join()
        return int(code)

    def kill(self) -> None:
        """Kill all its processes."""
        self.process.kill()
        self.end()


@pytest.fixture
def hosts(mounts: dict[str, Path]) -> Iterator[dict[str, Host]]:
    """The two hosts, at the same sweep."""
    common = ["run", *shell.TINY, *SWEEP, f"levels={LEVELS - 1}"]
    running = {host: Host(host, [*common, f"root={mount / 'runs'}"]) for host, mount in mounts.items()}
    yield running
    for host in running.values():
        host.kill()


def test_locks_of_one_mount_are_unknown_to_the_other_and_leases_are_known(mounts: dict[str, Path]) -> None:
    with contextlib.ExitStack() as stack:
        for mount in mounts.values():
            fcntl.flock(stack.enter_context(open(mount / "file", "ab")), fcntl.LOCK_EX | fcntl.LOCK_NB)
    own = take(mounts["one"] / "lease")
    assert own is not None
    assert take(mounts["two"] / "lease") is None
    own.note(step=7)
    own.refresh()
    held = look(mounts["two"] / "lease")
    assert held is not None
    assert held.facts == {"step": 7}
    own.release()
    other = take(mounts["two"] / "lease")
    assert other is not None
    assert not own.is_own()
    other.release()


def test_of_two_hosts_each_training_is_done_by_one_also_when_the_other_dies(
    mounts: dict[str, Path], hosts: dict[str, Host], tmp_path: Path
) -> None:
    """The host that trains a ticket of replicate 2 dies of it; the other trains it after a minute."""
    begun = time.monotonic()
    while not (held := held_of(mounts["one"], "ticket, replicate 2, level 1")):
        assert time.monotonic() - begun < 300, [host.said for host in hosts.values()]
        time.sleep(0.05)
    victim, heir = hosts.pop(held.host), next(iter(hosts.values()))
    victim.kill()
    killed = time.monotonic()
    assert heir.end() == 0, heir.said
    assert SILENCE - 15 < time.monotonic() - killed < SILENCE + 200
    names = [f"replicate {replicate}, level {level}" for replicate in (1, 2, 3) for level in range(LEVELS)]
    assert sorted(trained(victim) + trained(heir)) == names
    assert main(["run", *shell.TINY, *SWEEP, f"levels={LEVELS - 1}", f"root={tmp_path / 'local'}"]) == 0
    for lease in (tmp_path / "shared" / "runs" / "experiments").glob("*/*.running.lease"):
        lease.unlink()  # of the job of the dead host, which nobody had to watch for a minute
    assert shell.results(tmp_path / "shared" / "runs") == shell.results(tmp_path / "local")


def held_of(mount: Path, ticket: str) -> Held | None:
    """The lease of a ticket that is being trained."""
    found = [look(file) for file in mount.glob("runs/trained/*/lease")]
    return next((held for held in found if held and held.facts["ticket"] == ticket), None)


def trained(host: Host) -> list[str]:
    """The trainings that a host did itself."""
    return [each.removeprefix("ticket, ") for each in TRAINED.findall(host.said)]
