"""Targets of the Makefile that train: what `lth` is given, word by word."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lth.analysis import registry

ROOT = Path(__file__).parent.parent

pytestmark = pytest.mark.skipif(shutil.which("make") is None or not (ROOT / "Makefile").exists(), reason="needs make")


@pytest.fixture
def bin_(tmp_path: Path) -> Path:
    """A folder of programs in which `lth` prints its arguments."""
    (folder := tmp_path / "bin").mkdir()
    (folder / "python").symlink_to(sys.executable)
    (folder / "lth").write_text(f"#!{sys.executable}\nimport json, sys\nprint(json.dumps(sys.argv[1:]))\n")
    (folder / "lth").chmod(0o755)
    return folder


def given(bin_: Path, *words: str, **environment: str) -> list[str]:
    """The arguments that `lth` gets from make, which calls it once."""
    (arguments,) = every(bin_, *words, **environment)
    return arguments


def every(bin_: Path, *words: str, **environment: str) -> list[list[str]]:
    """The arguments of each call of `lth` by make."""
    command = ["make", "-s", "-o", "setup", "-C", str(ROOT), f"BIN={bin_}", *words]
    ran = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, "MAKEFLAGS": "", **environment}
    )
    return [json.loads(line) for line in ran.stdout.splitlines() if line.startswith("[")]


def test_a_sweep_is_that_of_a_configuration_or_has_a_name(bin_: Path) -> None:
    assert given(bin_, "sweep", "NAME=demo") == ["run", "-m", "experiment=demo", "replicate=1,2,3"]
    assert given(bin_, "sweep", "NAME=mine", "LAUNCHER=slurm", "ARGS=steps=5 replicate=7") == [
        *["run", "-m", "name=mine", "hydra/launcher=slurm", "steps=5", "replicate=7"]
    ]


def test_a_figure_takes_a_launcher_and_overrides(bin_: Path) -> None:
    assert given(bin_, "figure", "NAME=quantization") == ["figure", "quantization", "--run"]
    assert given(bin_, "figure", "NAME=quantization", "LAUNCHER=slurm", "ARGS=data.root=/data") == [
        *["figure", "quantization", "--run", "hydra/launcher=slurm", "data.root=/data"]
    ]


def test_every_experiment_is_a_target(bin_: Path) -> None:
    names = registry.names()
    assert every(bin_, *names, "ARGS=scale=reduced") == [["figure", name, "--run", "scale=reduced"] for name in names]


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("model.hidden=[30,20]", ["model.hidden=[30,20]"]),
        ("rewind.step=choice(0,50)", ["rewind.step=choice(0,50)"]),
        ("name='a b' levels=2", ["name=a b", "levels=2"]),
        ('"root=/tmp/a b"', ["root=/tmp/a b"]),
        ("""name="it's" """, ["name=it's"]),
        ("data.root=$HOME/x", ["data.root=$HOME/x"]),
        ("lr.at='${scaled:4,2}'", ["lr.at=${scaled:4,2}"]),
        ("name=*;echo", ["name=*;echo"]),
        ("", []),
    ],
)
def test_values_arrive_as_they_are_typed(typed: str, words: list[str], bin_: Path) -> None:
    expected = ["figure", "structure", "--run", *words]
    assert given(bin_, "structure", f"ARGS={typed}") == expected
    assert given(bin_, "structure", ARGS=typed) == expected


def test_a_target_without_its_name_says_how_it_is_called() -> None:
    for target, said in (("sweep", "make sweep NAME=demo"), ("figure", "make figure NAME=")):
        ran = subprocess.run(["make", "-n", "-C", str(ROOT), target], capture_output=True, text=True, check=False)
        assert ran.returncode == 2
        assert said in ran.stderr


def test_help_lists_the_targets_and_experiments() -> None:
    said = subprocess.run(["make", "-s", "-C", str(ROOT), "help"], capture_output=True, text=True, check=True).stdout
    for word in ("sweep ", "figure ", "test-ray ", *registry.names()):
        assert word in said
    assert max(len(line) for line in said.splitlines()) <= 120
