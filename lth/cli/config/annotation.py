"""Type annotations as parsed source, and the configuration values that they accept."""

import ast
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "text", type(None): "null"}
ACCEPTED = {float: (int, float), str: (str, int, float)}
BUILTINS = {kind.__name__: kind for kind in (bool, int, float, str)}


@dataclass(frozen=True)
class Annotation:
    """A union of types, the choices of a Literal and lists of `items`. An empty union accepts every value."""

    types: tuple[type, ...] = ()
    choices: tuple[Any, ...] = ()
    items: "Annotation | None" = None

    def accepts(self, value: Any) -> bool:
        """Test a value: an int is a float, a number is text (as Hydra parses it), a bool is neither."""
        if not (self.types or self.choices or self.items):
            return True
        if isinstance(value, list) and self.items:
            return all(self.items.accepts(item) for item in value)
        return any(_is(value, kind) for kind in self.types) or any(same(value, choice) for choice in self.choices)

    def __or__(self, other: "Annotation") -> "Annotation":
        if ANY in (self, other):
            return ANY
        return Annotation(self.types + other.types, self.choices + other.choices, self.items or other.items)

    def __str__(self) -> str:
        if self.choices:
            null = ["null"] if type(None) in self.types else []
            return f"choose one of {', '.join([*map(str, self.choices), *null])}"
        of = f" of {', '.join(map(str, self.items.choices))}" if self.items and self.items.choices else ""
        kinds = [NAMES[kind] for kind in self.types] + ([f"a list{of}"] if self.items else [])
        return f"must be {' or '.join(kinds)}"


ANY = Annotation()


def parse(node: ast.expr | None, lookup: Callable[[str], Annotation]) -> Annotation:
    """Read an annotation; `lookup` gives the meaning of an alias. What is not a plain value accepts everything."""
    match node:
        case ast.Constant(value=None):
            return Annotation((type(None),))
        case ast.Constant(value=str(text)):
            return parse(ast.parse(text, mode="eval").body, lookup)
        case ast.Name(id=name):
            return Annotation((BUILTINS[name],)) if name in BUILTINS else lookup(name)
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return parse(left, lookup) | parse(right, lookup)
        case ast.Subscript(value=ast.Name(id="Literal"), slice=choices):
            found = ast.literal_eval(choices)
            return Annotation(choices=found if isinstance(found, tuple) else (found,))
        case ast.Subscript(value=ast.Name(id="Sequence" | "list"), slice=items):
            return Annotation(items=parse(items, lookup))
    return ANY


def same(value: Any, other: Any) -> bool:
    """Equality of value and type: 1 is not True."""
    return type(value) is type(other) and bool(value == other)


def _is(value: Any, kind: type) -> bool:
    return isinstance(value, ACCEPTED.get(kind, kind)) and (kind is bool or not isinstance(value, bool))
