"""Offline and disabled, no packet leaves: name lookups and connections of child processes are counted."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from shell import TINY

import lth
from lth.cli.variables import keep_silent

# Python imports it at its start: what reaches for the network is noted, in every Python process below.
NOTED = """
import os, sys

def note(event, given):
    asks = event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr")
    sends = event in ("socket.connect", "socket.sendto") and isinstance(given[1], tuple)  # a path is of this machine
    if asks or sends:
        with open(os.environ["NOTES"], "a") as notes:
            notes.write(f"{event} {given[:2]}\\n")

sys.addaudithook(note)
"""
TRACK = """
import os
from pathlib import Path
from lth.cli.tracking import Wandb
from lth.ticket import Ticket

for mode in ("offline", "disabled"):
    os.environ["WANDB_MODE"] = mode
    with Wandb(group="g", name="n", folder=Path("here"), config={}) as tracker:
        tracker.evaluated(Ticket({}, {}), {"step": 1, "test_accuracy": 0.5})
"""
LOOK = "import socket; socket.getaddrinfo('127.0.0.1', 9); socket.socket().connect_ex(('127.0.0.1', 9))"


@contextmanager
def counting_proxy() -> Iterator[tuple[str, list[bytes]]]:
    """The address of a proxy that answers nobody, and what it was sent: programs not in Python would go there too."""
    asked = list[bytes]()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def listen() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    asked.append(connection.recv(100))

        threading.Thread(target=listen, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", asked


def reached(folder: Path, *arguments: str, **environment: str) -> list[str]:
    """What a Python process with these arguments, and those that it starts, reach for in the network."""
    (folder / "noting").mkdir()
    (folder / "noting" / "sitecustomize.py").write_text(NOTED, encoding="utf-8")
    (notes := folder / "notes").touch()
    with counting_proxy() as (proxy, asked):
        proxies = {f"{kind}_proxy": proxy for kind in ("http", "https", "HTTP", "HTTPS", "all", "ALL")}
        bare = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
        path = os.pathsep.join([str(folder / "noting"), str(Path(lth.__file__).parent.parent)])
        subprocess.run(
            [sys.executable, *arguments],
            env={**bare, **proxies, "no_proxy": "", "PYTHONPATH": path, "NOTES": str(notes), **environment},
            capture_output=True,
            timeout=300,
            check=True,
        )
        return [*notes.read_text(encoding="utf-8").splitlines(), *map(str, asked)]


@pytest.mark.long
def test_a_default_run_reaches_for_nothing(tmp_path: Path) -> None:
    words = [word for word in TINY if not word.startswith("tracking")]
    assert reached(tmp_path, "-m", "lth", "run", *words, "levels=0") == []
    assert len([*tmp_path.glob("runs/wandb/offline-run-*/*.wandb")]) == 1  # it was tracked


@pytest.mark.long
def test_a_tracker_without_connection_reaches_for_nothing(tmp_path: Path) -> None:
    assert reached(tmp_path, "-c", TRACK) == []


@pytest.mark.parametrize(
    ("mode", "given", "found"),
    [("offline", {}, "false"), ("disabled", {}, "false"), ("online", {}, None),
     ("offline", {"WANDB_ERROR_REPORTING": "true"}, "true")],
)  # fmt: skip
def test_reports_of_errors_are_off_without_a_connection_unless_the_user_set_them(
    mode: str, given: dict[str, str], found: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", dict(given))
    keep_silent(mode)
    assert os.environ.get("WANDB_ERROR_REPORTING") == found


def test_the_test_sees_lookups_and_connections(tmp_path: Path) -> None:
    assert [line.partition(" ")[0] for line in reached(tmp_path, "-c", LOOK)] == [
        "socket.getaddrinfo",
        "socket.connect",
    ]


@pytest.mark.long
def test_without_tracking_wandb_is_not_imported(tmp_path: Path) -> None:
    code = f"""
import sys
from lth import cli
assert cli.main(["run", *{TINY}]) == 0
assert "lth.cli.tracking" in sys.modules
assert not [name for name in sys.modules if name.partition(".")[0] == "wandb"]
"""
    assert reached(tmp_path, "-c", code) == []
