"""Commands that only look change nothing, whatever they find; terminals without UTF-8; waits that end with Ctrl-C."""

import json
import logging
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attack
import pytest
import shell

import lth
from lth import cli
from lth.store import Record, table
from lth.store.lease import take
from lth.store.locks import locked

ROOT = Path(lth.__file__).parent.parent
CHANGES = attack.CHANGES - {"os.scandir", "fcntl.flock"}
_watched: list[str] = []
_seen: list[str] = []


def _hook(event: str, given: tuple[Any, ...]) -> None:
    if _watched and event in CHANGES and str(given[0]).startswith(_watched[0]):
        writing = event != "open" or (isinstance(given[2], int) and given[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
        _seen.extend([f"{event} {given[0]}"] if writing else [])


sys.addaudithook(_hook)


@contextmanager
def untouched(root: Path) -> Iterator[None]:
    """Nothing is opened to be written, made, renamed or deleted under root; as root, a mode would forbid nothing."""
    _watched.append(str(root))
    _seen.clear()
    try:
        yield
    finally:
        _watched.clear()
    assert _seen == []


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of two trainings."""
    root = tmp_path_factory.mktemp("stored")
    assert shell.run(f"root={root}") == 0
    return root


@pytest.mark.long
def test_the_hook_sees_a_run(stored: Path, tmp_path: Path) -> None:
    with pytest.raises(AssertionError), untouched(tmp_path):
        shell.run(f"root={tmp_path}", "levels=0")


@pytest.mark.long
def test_plan_table_and_cost_change_nothing_in_a_store(stored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with untouched(stored):
        assert shell.run(f"root={stored}", "plan=true") == 0
        assert "2 stored, 0 to train" in capsys.readouterr().out
        assert shell.run("-m", f"root={stored}", "plan=true", "replicate=1,2") == 0
        assert cli.main(["table", "--runs", str(stored)]) == 0
        assert cli.main(["cost", "--runs", str(stored)]) == 0


@pytest.mark.long
def test_plan_changes_nothing_in_a_damaged_store(
    stored: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = shutil.copytree(stored, tmp_path / "root")
    for file in (root / "trained").glob("*/mask.safetensors"):
        file.write_bytes(b"")
    with untouched(root):
        assert shell.run(f"root={root}", "plan=true") == 0
    said = capsys.readouterr().out
    assert "mask.safetensors is corrupt: not a complete safetensors file; it is to be trained again" in said
    assert "0 stored, 2 to train" in said


@pytest.mark.long
def test_a_plan_needs_no_folder_and_makes_none(tmp_path: Path) -> None:
    with untouched(tmp_path):
        assert shell.run("root=runs", "plan=true") == 0
        assert shell.run("-m", "root=runs", "plan=true", "replicate=1,2") == 0


@pytest.mark.long
def test_a_file_of_a_newer_version_is_told_and_left_as_it_is(
    stored: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = shutil.copytree(stored, tmp_path / "root")
    (first, _) = sorted((root / "trained").glob("*/result.json"))
    attack.newer(first, [], random.Random())
    before = first.read_bytes()
    told = f"{first} has format 3, of a newer version of lth; this one ({lth.__version__}) reads up to format 2"
    assert shell.run(f"root={root}") == 1
    assert told in capsys.readouterr().out
    assert cli.main(["table", "--runs", str(root)]) == 0
    assert len(table.tickets(root)) == 1
    assert first.read_bytes() == before


@pytest.mark.long
def test_a_record_of_a_newer_version_is_told_and_left_as_it_is(
    stored: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = shutil.copytree(stored, tmp_path / "root")
    (record,) = (root / "experiments").glob("*/*.json")
    attack.newer(record, [], random.Random())
    before = record.read_bytes()
    assert shell.run(f"root={root}") == 1
    assert f"failed: {record} has format 3, of a newer version of lth" in capsys.readouterr().out
    assert record.read_bytes() == before
    assert cli.main(["table", "--runs", str(root)]) == 1
    first, *others = capsys.readouterr().err.splitlines()
    assert first.startswith(f"{record} has format 3, of a newer version of lth")
    assert others == [f"lth table: {root} has no result that can be read; lth status shows its jobs"]


@pytest.mark.long
def test_a_result_in_the_place_of_another_is_in_no_table(stored: Path, tmp_path: Path) -> None:
    root = shutil.copytree(stored, tmp_path / "root")
    first, second = sorted((root / "trained").iterdir())
    for name in ("result.json", "evaluations.parquet"):
        shutil.copy(first / name, second / name)
    assert list(table.tickets(root)["digest"]) == [first.name]
    assert shell.run(f"root={root}") == 0
    columns = [*shell.INCIDENTAL]
    assert table.tickets(root).drop(columns=columns).equals(table.tickets(stored).drop(columns=columns))


NOBODY = 65534  # a user who owns nothing


def as_nobody(words: list[str], said: Path) -> str:
    """What a command says to another user, and its exit code. Root becomes that user: no mode forbids root anything."""
    if not (pid := os.fork()):
        _look(words, said)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return f"{said.read_text(encoding='utf-8')}exit {code}"


def _look(words: list[str], said: Path) -> None:
    code = 99
    with open(said, "w", encoding="utf-8") as sys.stdout:
        sys.stderr = sys.stdout
        try:
            os.chdir("/")
            logging.getLogger().handlers = []  # pytest's, so that warnings are printed
            signal.alarm(60)
            if os.getuid() == 0:
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            code = cli.main(words)
        except BaseException:
            traceback.print_exc()
    os._exit(code)


@pytest.fixture(scope="module")
def mounted() -> Iterator[Path]:
    """A store, as if mounted read-only, of an experiment that has figures, and the data cache of its plan."""
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        base.chmod(0o755)
        assert shell.run(*PUBLIC, f"root={base / 'runs'}", f"data.cache={base / 'cache'}") == 0
        for word in looks(base):  # what they import, another user may not be allowed to read
            assert cli.main(word) == 0
        shutil.rmtree(base / "out")
        every = sorted(base.rglob("*"), reverse=True)
        modes = [(file, file.stat().st_mode) for file in every]
        for file in every:
            file.chmod(0o555 if file.is_dir() else 0o444)
        (base / "out").mkdir()
        (base / "out").chmod(0o777)
        yield base
        for file, mode in reversed(modes):
            file.chmod(mode)


PUBLIC = ["name=quantization", "replicate=[1,2]"]


def looks(base: Path) -> list[list[str]]:
    """Commands that only look, each of them at both replicates."""
    runs, out = ["--runs", str(base / "runs")], ["--out", str(base / "out")]
    plan = ["run", *shell.TINY, *PUBLIC, f"root={base / 'runs'}", f"data.cache={base / 'cache'}", "plan=true"]
    return [plan, ["table", *runs], ["cost", *runs], *([each, "quantization", *runs, *out] for each in LOOKS)]


LOOKS = ("figure", "report")


@contextmanager
def unreadable(file: Path) -> Iterator[None]:
    """A file or folder that its owner alone could make readable again."""
    mode = file.stat().st_mode
    file.chmod(0)
    try:
        yield
    finally:
        file.chmod(mode)


@pytest.mark.long
def test_a_read_only_store_is_planned_listed_drawn_and_reported(mounted: Path, tmp_path: Path) -> None:
    with unreadable(mounted / "runs"):
        assert "can't be read: Permission denied" in as_nobody(looks(mounted)[1], tmp_path / "said")
    for words in looks(mounted):
        said = as_nobody(words, tmp_path / "said")
        assert said.endswith("exit 0"), said
        assert "denied" not in said
        if "plan=true" in words:
            assert "4 stored, 0 to train" in said
    assert {"quantization.png", "quantization.html"} <= {file.name for file in (mounted / "out").iterdir()}


@pytest.mark.long
@pytest.mark.parametrize("name", ["result.json", "evaluations.parquet", "mask.safetensors", "step-20.safetensors", ""])
def test_an_entry_that_may_not_be_read_is_reported_and_the_others_are_read(
    mounted: Path, tmp_path: Path, name: str
) -> None:
    (file, *_) = sorted(mounted.glob(f"runs/trained/*/{name}"))
    with unreadable(file):
        commands = looks(mounted)[: None if name == "result.json" else 2]
        every = [as_nobody(words, tmp_path / "said") for words in commands]
    for said in every:
        assert said.endswith("exit 0"), said
        assert "Traceback" not in said
    plan, *others = every
    told = f"{file if name else file / 'result.json'} can't be read: Permission denied; "
    assert f"{told}it is to be trained again" in plan
    assert re.search("[23] stored, [12] to train", plan)
    for said in others:
        assert (told in said) == (name not in ("mask.safetensors", "step-20.safetensors"))


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "look", "code"),
    [("experiments/*/*.json", 1, 0), ("experiments/*", 1, 1), ("trained", 4, 0), (".", 4, 0), (".", 0, 0)],
)
def test_what_may_not_be_read_beside_entries_is_no_traceback(
    mounted: Path, tmp_path: Path, name: str, look: int, code: int
) -> None:
    (file, *_) = sorted((mounted / "runs").glob(name)) if name != "." else [mounted / "runs"]
    with unreadable(file):
        said = as_nobody(looks(mounted)[look], tmp_path / "said")
    assert "can't be read: Permission denied" in said
    assert "Traceback" not in said
    assert said.endswith(f"exit {code}"), said


@pytest.mark.long
@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_no_terminal_is_too_poor(stored: Path, encoding: str) -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": encoding}
    code = "import sys; from lth import cli; print('98.31 ± 0.05 \U0001f600'); sys.exit(cli.main(sys.argv[1:]))"
    code = code.replace("print(", "cli.print_anything(); print(")
    ran = subprocess.run(
        [sys.executable, "-c", code, "table", "--runs", str(stored)], env=env, capture_output=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    first = ran.stdout.decode(encoding, "replace").splitlines()[0]
    assert first in (r"98.31 \xb1 0.05 \U0001f600", r"98.31 ± 0.05 \U0001f600")


EVERY = {
    "run": ["run", *shell.TINY, "name=tiny"],
    "plan": ["run", *shell.TINY, "name=tiny", "plan=true"],
    "table": ["table"],
    "cost": ["cost"],
    "layout": ["layout", *shell.TINY, "name=tiny"],
    "export": ["export", *shell.TINY, "name=tiny", "--level", "1", "--format", "lth", "--out", "tiny.lth"],
    "report": ["report", "tiny", "--out", "out"],
    "scorecard": ["scorecard", "--out", "out"],
    "migrate": ["migrate", *shell.TINY, "name=tiny"],
    "help": ["--help"],
    "help of run": ["run", "--help"],
    "a wrong value": ["run", "steps=é"],
    "a wrong name": ["figure", "é"],
    "a wrong name of a run": ["run", *shell.TINY, "name=\udcc3\udca9"],  # as the locale of ASCII reads é
    "another name": ["run", *shell.TINY, "name=naïve", "plan=true"],
    "compress": ["compress", *shell.TINY, "name=tiny", "--bits", "5", "--out", "out"],
    "report of the project": ["report", "quantization", "--out", "out"],
}
SLOW = ("compress", "report of the project")
FAILING = {"a wrong value": 2, "a wrong name": 2, "a wrong name of a run": 2}
SAY = """
import json, sys, traceback
from lth import cli
def code(words):
    try:
        return cli.main(words)
    except SystemExit as end:
        return end.code
    except BaseException as error:
        return "".join(traceback.format_exception(error))
codes = {name: code(words) for name, words in json.loads(sys.argv[1]).items()}
with open("codes.json", "w", encoding="utf-8") as file:
    json.dump(codes, file)
"""


def in_ascii(commands: dict[str, list[str]], folder: Path) -> tuple[dict[str, Any], bytes]:
    """Exit codes of commands in a process whose locale, files and terminal know ASCII alone, and all that they say."""
    locale = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    ran = subprocess.run(
        [sys.executable, "-c", SAY, json.dumps(commands)],
        env={**os.environ, **locale, "PYTHONPATH": str(ROOT)}, cwd=folder, capture_output=True, check=True,
    )  # fmt: skip
    return json.loads((folder / "codes.json").read_text(encoding="utf-8")), ran.stdout + ran.stderr


@pytest.fixture(scope="module")
def poor(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], bytes]:
    """What all quick commands do and say, beside a store of an experiment whose name is not ASCII."""
    folder = tmp_path_factory.mktemp("poor")
    assert shell.run("name=naïve", "levels=0", f"root={folder / 'runs'}") == 0
    return in_ascii({name: words for name, words in EVERY.items() if name not in SLOW}, folder)


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in EVERY if name not in SLOW])
def test_no_command_needs_more_than_ascii(poor: tuple[dict[str, Any], bytes], name: str) -> None:
    assert poor[0][name] == FAILING.get(name, 0)


@pytest.mark.long
def test_a_name_beyond_ascii_is_found_and_tables_are_in_utf_8_there_too(poor: tuple[dict[str, Any], bytes]) -> None:
    said = poor[1].decode()
    assert "Traceback" not in said
    assert "in the wrong place" not in said
    assert "### naïve" in said


@pytest.mark.slow
def test_slow_commands_need_no_more_than_ascii(tmp_path: Path) -> None:
    assert in_ascii({name: EVERY[name] for name in ("run", *SLOW)}, tmp_path)[0] == dict.fromkeys(("run", *SLOW), 0)


@pytest.fixture
def heard() -> Iterator[None]:
    """Ctrl-C is heard, also where a shell started the tests in the background, which ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.long
@pytest.mark.usefixtures("heard")
def test_a_wait_for_a_record_ends_with_one_ctrl_c(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert shell.run("root=runs", "levels=0") == 0
    (record,) = tmp_path.glob("runs/experiments/*/*.json")
    with locked(record.with_suffix(".lease"), lambda: None):
        begun = time.monotonic()
        pressed = threading.Timer(3, os.kill, (os.getpid(), signal.SIGINT))
        pressed.start()
        assert shell.run("root=runs", "levels=1") == 130
    assert 3 < time.monotonic() - begun < 10
    assert len(table.tickets(tmp_path / "runs")) == 1


def test_a_record_that_is_waited_for_is_written_once_it_is_free(tmp_path: Path) -> None:
    record, waits = Record(tmp_path, "small", "job-1", {"replicate": 1}), []
    record.status("running")
    lease = take(tmp_path / "experiments" / "small" / "job-1.lease")
    assert lease is not None

    def wait() -> None:
        waits.append(1)
        if len(waits) == 3:
            lease.release()

    Record(tmp_path, "small", "job-1", {"replicate": 1}, wait=wait).status("finished")
    assert len(waits) == 3
    assert [each["status"] for each in shell.records(tmp_path)] == ["finished"]
