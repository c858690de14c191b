"""Arguments that several commands share."""

import argparse
from pathlib import Path

from lth.store.names import path_reason


def add_overrides(command: argparse.ArgumentParser, explained: str) -> None:
    """Add overrides of `lth run`, and the folder of config groups that they may come from."""
    command.add_argument("overrides", nargs="*", help=explained)
    command.add_argument("--config-dir", type=path, help="the folder of your own config groups, as for lth run")


def path(text: str) -> Path:
    """A path that files or folders can have."""
    if reason := path_reason(text):
        raise argparse.ArgumentTypeError(reason)
    return Path(text)


def numbers(text: str) -> list[int]:
    """Whole numbers separated by commas."""
    return [int(number) for number in text.split(",")]


def share(text: str) -> float:
    """A share above 0 and at most 1: 0.2 or 20%."""
    value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is no share above 0 and at most 1, such as 0.2 or 20%")
    return value
