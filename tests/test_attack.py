"""Attacks on a store: every file damaged, processes killed at every operation on a file, six processes at once.

After each, the same command ends with the same tables and weights to the bit, or with a sentence that names the file.
A sample runs with all tests, the whole with `make test-slow`.
"""

import logging
import os
import random
import signal
from collections import Counter
from dataclasses import replace
from pathlib import Path

import attack
import pytest
import shell
from attack import BOTH, DAMAGES, Damage, attacked, ended, forked, kill_above, kill_at, outcome
from test_store import JOB, ran

from lth.engine import train
from lth.store import Store, table
from lth.store.tensors import write_tensors

# Jobs that share trainings: more levels, another name, other replicates.
JOBS = [
    JOB,
    replace(JOB, levels=2),
    replace(JOB, name="other"),
    replace(JOB, branches={}, levels=2),
    replace(JOB, replicates=[1, 2]),
    replace(JOB, replicates=[2], levels=2),
]
KEEP = ["all", "none", "last"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of two replicates."""
    root = tmp_path_factory.mktemp("whole")
    ran(BOTH, root)
    return root


@pytest.mark.long
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_repaired_or_named(whole: Path, tmp_path: Path, damage: Damage) -> None:
    chance = random.Random(damage.__name__)
    attacked(whole, tmp_path / "root", damage, chance)


@pytest.mark.slow
def test_ten_thousand_damages(whole: Path, tmp_path: Path) -> None:
    logging.getLogger("lth").setLevel(logging.CRITICAL)
    ends = Counter[str]()
    for number in range(10_000):
        damage = DAMAGES[number % len(DAMAGES)]
        end = attacked(whole, tmp_path / "root", damage, random.Random(number))
        ends[f"{damage.__name__} {end}"] += 1
    assert not {name for name in ends if name.endswith("refused")} - {"folder refused", "newer refused"}


def killed_and_continued(root: Path, number: int | None, size: int | None, expected: dict[str, object]) -> bool:
    """Kill a run at an operation or in the middle of a file, and run it again; False if it ended before."""

    def work() -> None:
        if number is not None:
            kill_at(number, root)
        if size is not None:
            kill_above(size)
        ran(JOB, root)

    code = ended(forked(work))
    assert code in (0, -signal.SIGKILL, -signal.SIGXFSZ)
    ran(JOB, root)
    assert outcome(root) == expected
    assert not [*root.rglob(".*")], "the run that follows sweeps what was left aside"
    return code != 0


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    root = tmp_path_factory.mktemp("undisturbed")
    ran(JOB, root)
    return outcome(root)


def test_a_run_killed_at_an_operation_on_a_file_continues(tmp_path: Path, undisturbed: dict[str, object]) -> None:
    chance = random.Random(0)
    killed = [
        killed_and_continued(tmp_path / str(each), chance.randint(1, 150), None, undisturbed) for each in range(2)
    ]
    killed += [killed_and_continued(tmp_path / f"at {size}", None, size, undisturbed) for size in (2500,)]
    assert all(killed)


@pytest.mark.slow
def test_a_thousand_kills(tmp_path: Path, undisturbed: dict[str, object]) -> None:
    """At every operation in turn, then at random ones of runs that were killed before, and in the middle of files."""
    logging.getLogger("lth").setLevel(logging.CRITICAL)
    operations = attack.count_operations(lambda: ran(JOB, tmp_path / "counted"), tmp_path / "counted")
    assert operations > 100
    killed = 0
    for number in range(1, operations + 1):
        killed += killed_and_continued(tmp_path / f"at {number}", number, None, undisturbed)
    chance = random.Random(0)
    while killed < 1000:
        root, size = tmp_path / f"random {killed}", chance.choice([None, chance.randint(100, 4000)])
        for _ in range(2):
            at = chance.randint(1, operations) if size is None else None
            killed += ended(forked(lambda at=at, size=size, root=root: work_killed(root, at, size))) != 0
        ran(JOB, root)
        assert outcome(root) == undisturbed


def work_killed(root: Path, number: int | None, size: int | None) -> None:
    if number is not None:
        kill_at(number, root)
    if size is not None:
        kill_above(size)
    ran(JOB, root)


def six_at_once(root: Path, chance: random.Random, deaths: int) -> None:
    """Run all jobs at once on one store, some of them killed on the way and run again, with any `keep`."""

    def begin(number: int, at: int | None) -> int:
        keep = chance.choice(KEEP)

        def work() -> None:
            if at is not None:
                kill_at(at, root)
            ran(JOBS[number], root, keep=keep)

        return forked(work)

    dying = set(chance.sample(range(6), deaths))
    children = {begin(number, chance.randint(1, 300) if number in dying else None): number for number in range(6)}
    for child, number in children.items():
        code = ended(child)
        assert code in (0, -signal.SIGKILL)
        assert code == 0 or number in dying
        if code:
            assert ended(begin(number, None)) == 0


def alone(root: Path) -> dict[str, object]:
    """Results of the jobs one after the other."""
    for each in JOBS:
        ran(each, root)
    return outcome(root)


def compared(found: dict[str, object], expected: dict[str, object]) -> None:
    """The same, but for the weights that a job with another `keep` dropped, and the `keep` itself."""
    assert {name for name in expected.keys() - found.keys() if "step-" not in name} == set()
    for name, content in found.items():
        assert {**content, "keep": ""} == {**expected[name], "keep": ""}, name  # type: ignore[dict-item]


@pytest.mark.long
def test_six_processes_on_one_store_agree(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    expected = alone(tmp_path / "alone")
    six_at_once(tmp_path / "shared", random.Random(0), deaths=1)
    compared(outcome(tmp_path / "shared"), expected)
    first, second = (table.tickets(tmp_path / root).drop(columns=shell.INCIDENTAL) for root in ("alone", "shared"))
    assert first.equals(second)


@pytest.mark.slow
def test_six_processes_thirty_times(tmp_path: Path) -> None:
    expected = alone(tmp_path / "alone")
    for number in range(30):
        six_at_once(tmp_path / str(number), random.Random(number), deaths=number % 4)
        compared(outcome(tmp_path / str(number)), expected)


@pytest.mark.long
def test_a_finished_training_is_found_while_its_weights_come_and_go(tmp_path: Path) -> None:
    """As when other processes train up to W_T again and forget it."""
    (trained,) = ran(replace(JOB, branches={}, levels=0), tmp_path)[1]
    file, weights = tmp_path / "trained" / trained.facts["digest"] / "step-20.safetensors", trained.weights()

    def come_and_go() -> None:
        while True:
            file.unlink()
            write_tensors(file, weights)

    other = forked(come_and_go)
    try:
        found = [Store(tmp_path).find(train, JOB.recipe, trained.ticket) is not None for _ in range(100)]
    finally:
        os.kill(other, signal.SIGKILL)
        ended(other)
    assert all(found)
