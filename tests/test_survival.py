"""Runs that are killed by SIGKILL, repeatedly, end with the results of an uninterrupted one."""

import random
import select
import time
from pathlib import Path

import pytest
import shell

from lth.cli import main
from lth.store import table


def killed(given: list[str], delay: float) -> bool:
    """Start the command, and kill it `delay` seconds after it first says something; False if it ended before that."""
    process = shell.started("run", *given)
    assert process.stdout is not None
    try:
        while not select.select([process.stdout], [], [], 0.1)[0]:
            assert process.poll() is None
        first = process.stdout.readline()
        time.sleep(delay)
        ended = process.poll() is not None
        process.kill()  # SIGKILL can't be handled
        said, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode in (0, -9), first + said
    return not ended


def survives(given: list[str], delays: list[float], tmp_path: Path) -> int:
    """Compare a run killed after each of the delays with an uninterrupted one; returns the number of kills."""
    kills = sum(killed([*given, "root=killed"], delay) for delay in delays)
    for root in ("killed", "undisturbed"):
        assert main(["run", *given, f"root={root}"]) == 0
    first, second = (
        table.tickets(tmp_path / root).drop(columns=shell.INCIDENTAL) for root in ("killed", "undisturbed")
    )
    assert len(first) > 0
    assert first.equals(second)
    assert shell.results(tmp_path / "killed") == shell.results(tmp_path / "undisturbed")
    return kills


@pytest.mark.long
def test_a_run_killed_twice_ends_with_the_same_results(tmp_path: Path) -> None:
    given = [*shell.TINY, "steps=300", "evaluate_every=100", "levels=1", "branch=[shuffle]", "rewind.step=100"]
    assert survives(given, [0.0, 0.3], tmp_path) >= 1


@pytest.mark.slow
def test_a_run_killed_at_twenty_random_moments_ends_with_the_same_results(tmp_path: Path) -> None:
    """The delays add up to about as long as the job takes, so that the kills are spread over all of it."""
    given = [*shell.TINY, "steps=600", "evaluate_every=100", "levels=24", "model.hidden=[32]"]
    given += ["branch=[reinitialize]", "rewind.step=50"]
    begun = time.monotonic()
    assert main(["run", *given, "root=measured"]) == 0
    longest = 1.6 * (time.monotonic() - begun) / 20
    chance = random.Random(0)
    assert survives(given, [chance.uniform(0, longest) for _ in range(20)], tmp_path) >= 15
