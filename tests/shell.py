"""Helpers that run `lth` in this process or a new one and read its files."""

import json
import os
import resource
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import safetensors.numpy

import lth
from lth import cli
from lth.analysis import plot
from lth.cli import results as drawn
from lth.store import table

# A job of two trainings of 20 steps.
TINY = ["data=mnist_5k", "model=mlp", "model.hidden=[8]", "steps=20", "evaluate_every=10", "levels=1", "tracking=none"]
# Columns of the table that differ between two runs of the same science.
INCIDENTAL = ["seconds", "cpu_seconds", "date", "commit"]
DRAW = drawn._draw  # which conftest.py replaces


@contextmanager
def drawing() -> Iterator[None]:
    """Let runs in this process draw their figures, as they do for users."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drawn, "_draw", DRAW)
        yield


def run(*arguments: str) -> int:
    """Run `lth run` with the tiny settings and these arguments in this process, a sweep too if it names no launcher."""
    flags = [a for a in arguments if a.startswith("-")]
    basic = [] if "-m" not in flags or any("hydra/launcher=" in a for a in arguments) else ["hydra/launcher=basic"]
    return cli.main(["run", *flags, *TINY, *basic, *(a for a in arguments if a not in flags)])


class _Started(subprocess.Popen[str]):
    """A process that is killed, with those that it started, if a test fails meanwhile."""

    def __exit__(self, kind: Any, error: Any, at: Any) -> None:
        if error is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        super().__exit__(kind, error, at)


def started(*arguments: str, code: str | None = None) -> "subprocess.Popen[str]":
    """Start `lth` with these arguments, or a piece of code, in a new process."""
    root, tests = Path(lth.__file__).parent.parent, Path(__file__).parent
    what = ["-m", "lth"] if code is None else ["-c", code]
    return _Started(
        [sys.executable, *what, *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(root), str(tests)]), "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """Limit the files of this process to `size` bytes, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def counted(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count reads of tables and saves of figures from now on, without changing them."""
    calls: Counter[str] = Counter()

    def count(module: Any, name: str) -> None:
        function = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *given: (calls.update([name]), function(*given))[1])

    for module, name in [(table, "tables"), (plot, "save")]:
        count(module, name)
    return calls


def files(root: Path) -> list[Path]:
    """Every nonempty file under root."""
    return sorted(f for f in root.rglob("*") if f.is_file())


def results(root: Path) -> dict[str, Any]:
    """The content of root/trained and root/experiments, read with other libraries than the store's own, without the
    times and dates in which two runs of the same science differ.
    """
    stored = [*files(root / "trained"), *files(root / "experiments")]
    return {str(file.relative_to(root)): _content(file) for file in stored if not file.name.startswith(".")}


def records(root: Path) -> list[dict[str, Any]]:
    """All records under root."""
    return [json.loads(file.read_text()) for file in sorted((root / "experiments").glob("*/*.json"))]


def _content(file: Path) -> Any:
    if file.suffix == ".parquet":
        table = pd.read_parquet(file)
        return {str(name): table[name].to_numpy().tobytes() for name in table}
    if file.suffix == ".safetensors":
        return {k: (v.dtype, v.shape, v.tobytes()) for k, v in safetensors.numpy.load_file(file).items()}
    content = json.loads(file.read_text(encoding="utf-8"))
    del content["sha256"]
    content.pop("updated", None)
    for row in content.get("rows", {}).values():
        row.pop("added", None)
    content.pop("planned", None)  # that of the process which wrote last
    for name in ("seconds", "cpu_seconds"):
        content.get("facts", {}).pop(name, None)
    for name in INCIDENTAL:
        content.get("environment", {}).pop(name, None)
    return content
