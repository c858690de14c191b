"""Setup of every test: one thread, no display, no wandb account, a temporary working directory."""

import contextlib
import gc
import logging
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import shell
import torch

from lth.analysis.scorecard import scorecard
from lth.cli import results

os.environ["MPLBACKEND"] = "Agg"
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
for _name in [name for name in os.environ if name.startswith("WANDB_")]:
    del os.environ[_name]
_cache = None if os.environ.get("LTH_CACHE") else tempfile.TemporaryDirectory()
if _cache is not None:
    os.environ["LTH_CACHE"] = _cache.name
torch.set_num_threads(1)
gc.disable()  # until pytest has imported and collected the tests, none of which is ever garbage
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell sets it for `make test &`; processes inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Collect garbage rarely, and never among PyTorch's modules and the tests: that took a tenth of the time."""
    gc.freeze()
    gc.set_threshold(50_000, 20)
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def _undrawn() -> Iterator[None]:
    """Runs in this process, of tests and fixtures, draw no figures, which takes most of the time of a short run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(results, "_draw", lambda _: iter([]))
        yield


@pytest.fixture(autouse=True)
def _as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[None]:
    """Run a test in an empty folder and restore the process state that the command changes. A run of a test that is
    marked `drawn` draws its figures, as for users.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", sys.argv)
    monkeypatch.setattr(sys, "path", [*sys.path])
    torch.set_flush_denormal(False)  # training sets it for its process, hypothesis wants it unset
    _plain_log()
    with shell.drawing() if request.node.get_closest_marker("drawn") else contextlib.nullcontext():
        yield
    sys.modules.pop("mine", None)
    _plain_log()


@pytest.fixture(scope="session")
def card_of_the_project(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """The scorecard of the committed results, computed once, which takes seconds; to be read, not changed."""
    with contextlib.chdir(tmp_path_factory.mktemp("card")):
        return scorecard(Path("nowhere"))


def _plain_log() -> None:
    logger = logging.getLogger("lth")
    logger.handlers, logger.propagate = [], True
    logger.setLevel(logging.INFO)
