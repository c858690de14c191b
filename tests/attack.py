"""Damages of a store, and processes that are killed at a chosen operation on its files."""

import json
import os
import random
import resource
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import safetensors.torch
import shell
import torch
from test_store import JOB, ran

from lth import UserError, job
from lth.store import Store, table
from lth.store.file import read_json, write_json
from lth.store.tensors import write_tensors
from lth.ticket import Trained

# Two replicates, between which files can change places.
BOTH = replace(JOB, replicates=[1, 2])
# Events of the interpreter that change a file.
CHANGES = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link", "os.scandir"}
Damage = Callable[[Path, list[Path], random.Random], None]
# Autograd chooses its threads at its first use, none on a CPU. After that, children made by a fork may train whatever
# the tests of this process did before: torch.export registers a device, whose thread no fork survives.
torch.ones(1, requires_grad=True).backward()


def flip(file: Path, _: list[Path], chance: random.Random) -> None:
    """One bit, and the time of the file as it was."""
    content, before = bytearray(file.read_bytes()), file.stat()
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    file.write_bytes(content)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def cut(file: Path, _: list[Path], chance: random.Random) -> None:
    """The beginning alone."""
    os.truncate(file, chance.randrange(file.stat().st_size))


def grow(file: Path, _: list[Path], chance: random.Random) -> None:
    """Bytes behind the end."""
    with open(file, "ab") as stream:
        stream.write(chance.randbytes(chance.randint(1, 100)))


def garbage(file: Path, _: list[Path], chance: random.Random) -> None:
    """Random bytes."""
    file.write_bytes(chance.randbytes(chance.randint(0, 1000)))


def nested(file: Path, _: list[Path], chance: random.Random) -> None:
    """JSON that no stack holds."""
    file.write_bytes(chance.choice([b"[", b'{"a":']) * 50_000)


def delete(file: Path, _: list[Path], chance: random.Random) -> None:
    """Nothing is left."""
    file.unlink()


def overwrite(file: Path, others: list[Path], chance: random.Random) -> None:
    """The whole content of another file of the store, of the same format if there is one."""
    same = [other for other in others if other.suffix == file.suffix] or others
    shutil.copy(chance.choice(same), file)


def swap(file: Path, others: list[Path], chance: random.Random) -> None:
    """The file and another one of the same name in each other's place."""
    same = [other for other in others if other.name == file.name] or others
    other, aside = chance.choice(same), file.with_name("aside")
    file.rename(aside)
    other.rename(file)
    aside.rename(other)


def fifo(file: Path, _: list[Path], chance: random.Random) -> None:
    """A pipe that nobody writes to."""
    file.unlink()
    os.mkfifo(file)


def link(file: Path, others: list[Path], chance: random.Random) -> None:
    """A link to what never ends, to nothing, to itself, or to another file."""
    targets = [Path("/dev/zero"), Path("nowhere"), file, chance.choice(others)]
    file.unlink()
    file.symlink_to(chance.choice(targets))


def folder(file: Path, _: list[Path], chance: random.Random) -> None:
    """A folder with something in it."""
    file.unlink()
    file.mkdir()
    (file / "notes").write_bytes(b"mine")


def newer(file: Path, _: list[Path], chance: random.Random) -> None:
    """A whole file of a later format."""
    if file.suffix == ".json":
        write_json(file, {**read_json(file), "format": 3, "more": [1]})
    elif file.suffix == ".safetensors":
        with safetensors.safe_open(file, "pt") as opened:
            metadata = {key: value for key, value in opened.metadata().items() if key != "sha256"}
        write_tensors(file, safetensors.torch.load_file(file), **{**metadata, "lth": "3"})


DAMAGES: list[Damage] = [
    flip, cut, grow, garbage, nested, delete, overwrite, swap, fifo, link, folder, newer
]  # fmt: skip


def outcome(root: Path) -> dict[str, Any]:
    """The results under root without the status, which a stopped run leaves as it was."""
    return {name: {**content, "status": "", "error": ""} for name, content in shell.results(root).items()}


def listing(root: Path) -> dict[str, Any]:
    """Everything under root: kind, content and time of each file."""
    found = {}
    for file in sorted(root.rglob("*")):
        facts = file.lstat()
        regular = file.is_file() and not file.is_symlink()
        found[str(file)] = facts.st_mode, facts.st_ino, facts.st_mtime_ns, file.read_bytes() if regular else b""
    return found


@contextmanager
def in_time(seconds: int) -> Iterator[None]:
    """Raise TimeoutError if it takes longer."""

    def late(*_: Any) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def attacked(whole: Path, root: Path, damage: Damage, chance: random.Random) -> str:
    """Damage one file of a copy of a store, look at it and run its job; returns how it ended: "repaired" or "refused".

    A look changes nothing and shows no row that is not in the whole store; the run ends with the results of the whole
    store or with an error that names a file of it.
    """
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(whole, root)
    files = shell.files(root)
    victim = chance.choice(files)
    damage(victim, [file for file in files if file != victim], chance)
    what = f"{damage.__name__} of {victim}"
    with in_time(60):
        look(whole, root, what)
        before = listing(victim.parent)
        try:
            ran(BOTH, root)
        except (UserError, OSError) as error:
            refused = str(error)
        else:
            refused = ""
    if refused:
        assert str(victim) in refused, f"{what}: {refused}"
        assert damage in (folder, newer), f"{what}: {refused}"
        assert {before[name] == now for name, now in listing(victim.parent).items() if str(victim) in name} == {True}
        return "refused"
    expected, found = outcome(whole), outcome(root)
    for name in expected.keys() - found.keys():  # what was dropped, or is no longer needed, is not made again
        assert Path(name).name.startswith(("step-", "pruned-")), f"{what}: {name} is missing"
    for name in found:
        if found[name] != expected[name]:
            optional = Path(name).name.startswith("pruned-") or damage is newer
            assert optional, f"{what}: {name} differs"
    return "repaired"


def look(whole: Path, root: Path, what: str) -> None:
    """Plan and table of a damaged store."""
    before = listing(root)
    stored = job.stored(BOTH, Store(root))
    rows = table.tickets(root)
    assert listing(root) == before, f"{what}: a look changed it"
    expected = table.tickets(whole)
    if len(rows):
        merged = rows.merge(expected, how="left", on=[*rows.columns.intersection(expected.columns)], indicator=True)
        assert (merged["_merge"] == "both").all(), f"{what}: a row that was never there"
    good = {t.facts["digest"]: t for t in job.stored(BOTH, Store(whole))}
    for trained in stored:
        assert trained.evaluations.equals(good[trained.facts["digest"]].evaluations), what


def forked(work: Callable[[], Any], seconds: int = 120) -> int:
    """Run in a child, for so many seconds at most; returns its id."""
    sys.stdout.flush()
    if child := os.fork():
        return child
    code = 1
    try:
        signal.alarm(seconds)
        work()
        code = 0
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
    finally:
        os._exit(code)


def ended(child: int) -> int:
    """Wait for a child; returns its exit code, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def kill_at(number: int, root: Path) -> None:
    """From here on: this process is killed when it is about to change a file under root for the n-th time."""
    left = number

    def hook(event: str, given: tuple[Any, ...]) -> None:
        nonlocal left
        if event in CHANGES and str(root) in str(given[0]):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def kill_above(size: int) -> None:
    """From here on: this process is killed in the middle of writing a file of more than `size` bytes."""
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def results_of(trained: list[Trained]) -> list[Any]:
    """Digests, curves and last weights of a run, to the bit."""
    return [(t.facts["digest"], t.evaluations.to_json(), safetensors.torch.save(dict(t.weights()))) for t in trained]


def count_operations(work: Callable[[], Any], root: Path) -> int:
    """How many times the work changes a file under root."""
    source, sink = os.pipe()

    def counted() -> None:
        seen = 0

        def hook(event: str, given: tuple[Any, ...]) -> None:
            nonlocal seen
            seen += event in CHANGES and str(root) in str(given[0])

        sys.addaudithook(hook)
        work()
        os.write(sink, json.dumps(seen).encode())

    assert ended(forked(counted)) == 0
    os.close(sink)
    return int(json.loads(os.read(source, 100)))
