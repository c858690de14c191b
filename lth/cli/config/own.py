"""Modules of the user's in the working directory. They come last: what is installed is never taken from there."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import PathFinder
from pathlib import Path


def see_own_modules() -> None:
    """Let _target_: mine.function find mine.py in the working directory, unless a module `mine` is installed."""
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)


@contextmanager
def workers_as_here() -> Iterator[None]:
    """Keep Python from putting the working directory first in the processes that a launcher starts meanwhile."""
    before = os.environ.get("PYTHONSAFEPATH")
    os.environ["PYTHONSAFEPATH"] = before or "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONSAFEPATH"]


def hidden(target: str) -> str:
    """A sentence if the module of a target such as calendar.smallest lies in the working directory, where an installed
    one hides it; else "".
    """
    name = target.partition(".")[0]
    found = PathFinder.find_spec(name, [str(Path.cwd())])
    if found is None or found.origin is None or name not in sys.modules:
        return ""
    origin = getattr(sys.modules[name], "__file__", None)
    if origin is not None and Path(origin).resolve() == Path(found.origin).resolve():
        return ""
    return f"{os.path.relpath(found.origin)} is not used, since Python has another module {name}: rename it"
