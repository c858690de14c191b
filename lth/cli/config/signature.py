"""Signatures of lth functions, read from their source: importing them would load torch.

The signature is the schema of a configuration node: its keys are the keyword-only parameters, its types and choices the
annotations (`Literal`, or an alias such as `Scaling`), its defaults the defaults.
"""

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from lth import UserError
from lth.cli.config.annotation import ANY, Annotation, parse
from lth.store.source.definition import definition

REQUIRED = object()


@dataclass(frozen=True)
class Parameter:
    """A keyword of a function. default: its value, REQUIRED if there is none, None if it is no literal."""

    annotation: Annotation
    default: Any = REQUIRED


@cache
def parameters(target: str) -> dict[str, Parameter]:
    """Keyword-only parameters of a function, fields of a dataclass; raises UserError if lth has no such function."""
    try:
        module, found = definition(target)
    except LookupError:
        module, _, name = target.rpartition(".")
        raise UserError(f"{module} has no function '{name}'") from None
    if isinstance(found, ast.ClassDef):
        init = [s for s in found.body if isinstance(s, ast.FunctionDef) and s.name == "__init__"]
        return _keywords(module, init[0]) if init else _fields(module, found)
    if isinstance(found, ast.FunctionDef):
        return _keywords(module, found)
    raise UserError(f"{target} is not a function")


def arguments(node: Mapping[str, Any], *names: str) -> list[Any]:
    """Arguments of the function of a node; those that the node leaves out are the defaults."""
    known = parameters(node["_target_"])
    return [node.get(name, known[name].default) for name in names]


@cache
def choices(alias: str) -> tuple[Any, ...]:
    """Choices of a Literal alias, such as lth.data.dataset.Scaling."""
    return _alias(*alias.rsplit(".", 1)).choices


def _keywords(module: str, function: ast.FunctionDef) -> dict[str, Parameter]:
    pairs = zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)
    return {a.arg: Parameter(_annotation(module, a.annotation), _default(node)) for a, node in pairs}


def _fields(module: str, found: ast.ClassDef) -> dict[str, Parameter]:
    fields = [s for s in found.body if isinstance(s, ast.AnnAssign)]
    return {ast.unparse(s.target): Parameter(_annotation(module, s.annotation), _default(s.value)) for s in fields}


def _annotation(module: str, node: ast.expr | None) -> Annotation:
    return parse(node, lambda name: _alias(module, name))


def _alias(module: str, name: str) -> Annotation:
    try:
        home, found = definition(f"{module}.{name}")
    except LookupError:
        return ANY
    return _annotation(home, found.value) if isinstance(found, ast.Assign) else ANY


def _default(node: ast.expr | None) -> Any:
    if node is None:
        return REQUIRED
    try:
        return ast.literal_eval(node)
    except ValueError:
        return None
