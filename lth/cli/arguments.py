"""Arguments that several commands share."""

import argparse
import contextlib
import sys
from pathlib import Path

from lth.store.names import path_reason


def add_overrides(command: argparse.ArgumentParser, explained: str) -> None:
    """Add overrides of `lth run`, and the folder of config groups that they may come from."""
    command.add_argument("overrides", nargs="*", help=explained)
    command.add_argument("--config-dir", type=path, help="the folder of your own config groups, as for lth run")


def add_runs(command: argparse.ArgumentParser) -> None:
    """Add the folder of stored results."""
    command.add_argument("--runs", type=path, default=Path("runs"), help="folder of stored results (default: runs)")


def add_out(command: argparse.ArgumentParser, folder: str) -> None:
    """Add the folder of files to write, and the usual one."""
    command.add_argument("--out", type=path, default=Path(folder), help=f"folder to write to (default: {folder})")


def path(text: str) -> Path:
    """A path that files or folders can have."""
    if reason := path_reason(text):
        raise argparse.ArgumentTypeError(reason)
    return Path(text)


def numbers(text: str) -> list[int]:
    """Whole numbers from 0 on, separated by commas."""
    return _within(text, 0, sys.maxsize, "give whole numbers from 0 on, separated by commas, such as 0,3,7")


def bits(text: str) -> list[int]:
    """Numbers of bits of a weight, 1 to 8, separated by commas."""
    return _within(text, 1, 8, "weights of lth files have 1 to 8 bits, such as 5,4")


def _within(text: str, low: int, high: int, otherwise: str) -> list[int]:
    with contextlib.suppress(ValueError):
        found = [int(number) for number in text.split(",")]
        if low <= min(found) and max(found) <= high:
            return found
    raise argparse.ArgumentTypeError(f"{text}: {otherwise}")


def count(text: str) -> int:
    """A whole number, at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: give a whole number, at least 1")
    return int(text)


def share(text: str) -> float:
    """A share above 0 and at most 1: 0.2 or 20%."""
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text}: give a share above 0 and at most 1, such as 0.2 or 20%")
    return value
