"""Leftovers of killed processes in the folders of a store; none of them is needed. Imports no PyTorch."""

import contextlib
from pathlib import Path

from lth.file import sweep
from lth.store.lease import clear
from lth.store.locks import TRAINING_LEASE
from lth.store.record import LEASE


def tidy(entry: Path) -> None:
    """Delete what is left in a finished entry."""
    with contextlib.suppress(OSError):
        sweep(entry)
        clear(entry / TRAINING_LEASE)


def tidy_experiment(folder: Path) -> None:
    """Delete what is left beside the records of an experiment, and the folder if that was all."""
    with contextlib.suppress(OSError):
        sweep(folder)
        for lease in folder.glob(f"*{LEASE}"):
            clear(lease)
        folder.rmdir()  # fails if there is more, such as the precision of an experiment that begins
