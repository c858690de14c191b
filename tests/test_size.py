"""A job that can't fit into memory is refused before anything is allocated."""

import resource
import sys

import pytest
from shell import run

from lth.job import size

ROOM = 2**21 if sys.platform != "darwin" else 2**31  # what ru_maxrss may grow by: 2 GB


@pytest.mark.long
@pytest.mark.parametrize(
    "overrides",
    [
        ["model.hidden=[10000000,10000000]"],
        ["model.hidden=[1000000,1000000,8]"],
        ["model.hidden=[8]", "batch_size=1048576", "data=mnist_5k"],
    ],
)
def test_a_net_or_a_batch_larger_than_memory_is_a_sentence(
    overrides: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(size, "memory", lambda: 3e9)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert run(*overrides) != 0
    said = " ".join(capsys.readouterr().out.split())
    assert "GB at least, and this machine has 3.0: choose a smaller model, or a smaller batch_size" in said
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < ROOM


def test_this_machine_has_some_memory() -> None:
    assert 2**28 < size.memory() < 2**50
