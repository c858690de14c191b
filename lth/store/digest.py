"""Names of results: a JSON description of everything that decides one, and its digest.

A recipe is described by values, not by how it was written: a default that is spelled out, and one that is left away,
give the same description, so that YAML and Python find each other's results. Functions of lth have public names, so
that moving a file loses nothing; a user's own function has its import path and digests of the code it reaches.
"""

import contextlib
import hashlib
import importlib
import inspect
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, fields
from typing import Any

from lth.data import Data
from lth.keywords import signature, unbound
from lth.recipe import Recipe
from lth.store.source import source
from lth.task import Task
from lth.ticket import Ticket, content, masked

DIGITS = 20
# Versions of functions of lth, raised when the same arguments come to mean something else; 1 is left away.
VERSIONS: dict[str, int] = {"criterion.grasp": 2}


def digest(recipe: Recipe, ticket: Ticket) -> str:
    """The name of a training: SHA-256 of the recipe, m * W_k, m, k, the replicate and the order of the data."""
    return digest_of(describe(recipe), ticket)


def digest_of(recipe: Any, ticket: Ticket) -> str:
    """The digest of a training by the description of its recipe."""
    sha = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode())
    order = (ticket.order,) if ticket.order else ()
    sha.update(repr((ticket.step, ticket.replicate, *order)).encode())
    for tensors in (masked(ticket.weights, ticket.mask), ticket.mask):
        for name, tensor in sorted(tensors.items()):
            sha.update(repr((name, str(tensor.dtype), tuple(tensor.shape))).encode())
            sha.update(content(tensor))
    return sha.hexdigest()[:DIGITS]


def short(description: Any) -> str:
    """The digest of a description."""
    return hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()[:DIGITS]


def describe(value: Any) -> Any:
    """Describe a value as JSON: functions by public name or import path, with the arguments that aren't defaults."""
    if isinstance(value, Data):
        classes = {} if value.covered else {"classes": value.classes}
        return {"name": value.name, "scaling": value.scaling, "fingerprint": value.fingerprint, **classes}
    if isinstance(value, Recipe | Task):
        return {
            f.name: describe(getattr(value, f.name))
            for f in fields(value)
            if f.default is MISSING or not _same(getattr(value, f.name), f.default)
        }
    if isinstance(value, Mapping):
        return {str(key): describe(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [describe(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if callable(value):
        return _function(value)
    raise TypeError(f"{value!r} can't be part of a recipe: give a function, numbers, text, lists or mappings of them")


def described_defaults(function: Callable[..., Any]) -> dict[str, Any]:
    """Argument -> description of its default, of those that have one that can be described."""
    parameters, described = signature(unbound(function)[0]).parameters, {}
    for name, default in ((name, p.default) for name, p in parameters.items()):
        if default is not None and default is not inspect.Parameter.empty:
            with contextlib.suppress(Exception):  # only a note, which must not stop a job
                described[name] = describe(default)
    return described


def sources(description: Any) -> Iterator[tuple[str, dict[str, str]]]:
    """(import path, file -> digest of its code) of every function of the user's own in a description."""
    if isinstance(description, Mapping):
        if "source" in description and "function" in description:
            yield description["function"], description["source"]
        for item in description.values():
            yield from sources(item)
    elif isinstance(description, list):
        for item in description:
            yield from sources(item)


def sourceless(description: Any) -> Any:
    """The description without the digests of sources: the same before and after an edit."""
    if isinstance(description, Mapping):
        own = "source" in description and "function" in description
        return {key: sourceless(item) for key, item in description.items() if not (own and key == "source")}
    return [sourceless(item) for item in description] if isinstance(description, list) else description


def _function(value: Callable[..., Any]) -> dict[str, Any]:
    function, bound = unbound(value)
    defaults = {k: p.default for k, p in signature(function).parameters.items()}
    unusual = {k: describe(v) for k, v in sorted(bound.items()) if k not in defaults or not _same(v, defaults[k])}
    return {**_named(function), **unusual}


def _named(function: Callable[..., Any]) -> dict[str, Any]:
    module, name = function.__module__, getattr(function, "__qualname__", "<object>")
    if "<" in name or module == "__main__" or inspect.ismethod(function):
        raise TypeError(f"{module}.{name} has no import path of its own, so its results can't be found again: use a "
                        "function of a module")  # fmt: skip
    if module.startswith("lth."):
        public = _public_name(function)
        return {"function": public, **({"version": VERSIONS[public]} if public in VERSIONS else {})}
    own = source(function)
    return {"function": f"{module}.{_bound(function)}", **({} if own is None else {"source": dict(own)})}


def _bound(function: Callable[..., Any]) -> str:
    """The name by which a module has a function: its own, or, of one that a decorator gave the name of what it
    decorates, that which it is bound to there.
    """
    module, name = sys.modules.get(function.__module__), function.__qualname__
    named: Any = module
    for part in name.split("."):
        named = getattr(named, part, None)
    if named is function:
        return name
    bound = next((other for other, value in vars(module).items() if value is function), name) if module else name
    own, theirs = _codes(function), _codes(named)
    if bound == name and theirs[0] in own[1:] and own != theirs:
        raise _misnamed(function)
    return bound


def _codes(function: Any) -> list[Any]:
    """The code of a function and of those that it decorates, in place of objects without code themselves. They are the
    same after a module was imported anew, in which its function of this name is another one.
    """
    found = [getattr(function, "__code__", function)]
    while (function := getattr(function, "__wrapped__", None)) is not None:
        found.append(getattr(function, "__code__", function))
    return found


def _misnamed(function: Callable[..., Any]) -> TypeError:
    return TypeError(f"a function has the name of another, {function.__module__}.{function.__qualname__}, which a "
                     "decorator copied (functools.wraps), so its results can't be told apart: write "
                     "`@decorator` above a function with a name of its own that calls the other")  # fmt: skip


def _public_name(function: Callable[..., Any]) -> str:
    """`model.lenet_300_100`, wherever in `lth.model` the function is written."""
    name, room = function.__qualname__, function.__module__.split(".")[1]
    package = importlib.import_module(f"lth.{room}")
    if (public := getattr(package, name, None)) is not function and public is not None:
        raise _misnamed(function)
    if public is None or name not in getattr(package, "__all__", [name]):
        raise TypeError(f"{function.__module__}.{name} is not public: its name may change and lose its results")
    return f"{room}.{name}"


def _same(value: Any, default: Any) -> bool:
    """Compare descriptions, so that [1, 2] equals (1, 2) and 1 equals 1.0, but 1 is not True."""
    return default is not inspect.Parameter.empty and json.dumps(describe(value)) == json.dumps(describe(default))
