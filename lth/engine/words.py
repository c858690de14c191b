"""Words of exceptions that foreign code raises: of nets, exporters and runtimes."""

import re


def first_line(error: BaseException) -> str:
    """The first line of a message, without escape sequences of terminals; at most 200 characters. The name of the
    exception if it has no message.
    """
    lines = [line.strip() for line in re.sub(r"\x1b\[\d*m", "", str(error)).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:200].rstrip(".")


def named(error: BaseException) -> str:
    """The name of an exception and its first line."""
    return f"{type(error).__name__}: {first_line(error)}"
