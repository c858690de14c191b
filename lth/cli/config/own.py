"""Modules of the user's in the working directory. They come last: what is installed is never taken from there."""

import os
import sys
from contextlib import AbstractContextManager, suppress
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path
from pkgutil import iter_modules

from lth.cli.handlers import variable
from lth.store.names import did_you_mean, similar

SAFE = "PYTHONSAFEPATH"


def see_own_modules() -> None:
    """Let _target_: mine.function find mine.py in the working directory, unless a module `mine` is installed."""
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)


def workers_as_here() -> AbstractContextManager[None]:
    """Keep Python from putting the working directory first in the processes that a launcher starts meanwhile."""
    return variable(SAFE, os.environ.get(SAFE) or "1")


def absent(target: str) -> str:
    """A sentence if the module of a target such as mien.smallest, or of mine.modells.net, is not there; else ""."""
    name, _, function = target.partition(".")
    if not name or not function:
        return "write module.function, such as mine.smallest"
    if name in sys.modules or find_spec(name) is not None:
        return _absent_part(name, function)
    near = did_you_mean(similar(name, [file.stem for file in Path.cwd().glob("*.py")]))
    return f"there is no module {name}{near or '.'} Your own modules are looked for in {Path.cwd()}, where lth runs"


def _absent_part(package: str, rest: str) -> str:
    """A sentence if a package that can be imported has no module of the next name, nor anything else of it."""
    name, _, function = rest.partition(".")
    with suppress(Exception):  # a package may raise anything
        loaded = import_module(package)
        if not name or not function or not hasattr(loaded, "__path__") or hasattr(loaded, name):
            return ""
        modules = [module.name for module in iter_modules(loaded.__path__)]
        if name in modules:
            return _absent_part(f"{package}.{name}", function)
        return f"{package} has no module {name}{did_you_mean(similar(name, modules))}"
    return ""


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
