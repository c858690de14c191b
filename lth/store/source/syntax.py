"""Syntax trees: the names that a top-level statement binds, imports and uses, and its text without positions."""

import ast
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cached_property
from importlib.util import resolve_name
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lth.store.source.module import Module

DEFINITION = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
IMPORT = ast.Import | ast.ImportFrom
IMPORTING = ("import_module", "__import__")  # functions that import a module by its name
UNSEEN = ("ctx", "kind", "type_comment")  # fields of syntax trees that change nothing

Chain = tuple[str, ...]  # a dotted name, ("helpers", "scale"); () is the whole module
Import = tuple[str, str, Chain]  # bound name, module, member of the module


def split(node: ast.stmt) -> Iterator[ast.stmt]:
    """Split imports into one per name; leave out what runs only as a script."""
    if isinstance(node, ast.Import):
        yield from (ast.Import([alias]) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        yield from (ast.ImportFrom(node.module, [alias], node.level) for alias in node.names)
    elif isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'":
        yield from node.orelse
    elif not _is_idle(node):
        yield node


def _is_idle(node: ast.AST) -> bool:
    """Check for a docstring or `pass`."""
    return isinstance(node, ast.Pass) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))


def _text(node: Any) -> str:
    """Text of a tree without docstrings and positions; unlike `ast.dump`, the same in all versions of Python."""
    if isinstance(node, list):
        return f"[{', '.join(_text(item) for item in node if not _is_idle(item))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    if isinstance(node, ast.JoinedStr):  # Python 3.12 ends some with an empty string
        node = ast.JoinedStr([value for value in node.values if getattr(value, "value", None) != ""])
    fields = [(k, v) for k, v in ast.iter_fields(node) if k not in UNSEEN and v not in (None, [])]
    return f"{type(node).__name__}({', '.join(f'{name}={_text(value)}' for name, value in fields)})"


def _imported_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Nodes of a statement, without the bodies of functions and classes."""
    queue = [node]
    while queue:
        yield (node := queue.pop())
        if not isinstance(node, DEFINITION):
            queue += ast.iter_child_nodes(node)


def _evaluated(node: ast.AST) -> list[ast.AST]:
    """Expressions that are evaluated when a function or class is defined; any other statement itself."""
    if isinstance(node, ast.ClassDef):
        return [*node.decorator_list, *node.bases, *node.keywords]
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return [*node.decorator_list, node.args]
    return [node]


def _bound_name(node: ast.AST) -> str:
    if isinstance(node, ast.Name):
        return "" if isinstance(node.ctx, ast.Load) else node.id
    if isinstance(node, ast.alias):
        return node.asname or node.name.partition(".")[0]
    name = getattr(node, "name", None) or getattr(node, "rest", None)  # definitions, `except ... as`, patterns
    return name if isinstance(name, str) else ""


def _imports(nodes: Iterable[ast.AST], package: str) -> Iterator[Import]:
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                yield alias.asname or top, alias.name if alias.asname else top, ()
                yield "", alias.name, ()  # loads the submodule too
        elif isinstance(node, ast.ImportFrom):
            base = f"{package}.".rsplit(".", node.level)[0] if node.level else ""
            module = ".".join(filter(None, (base, node.module)))
            yield from ((alias.asname or alias.name, module, (alias.name,)) for alias in node.names)


def _chains(node: ast.AST) -> Iterator[Chain]:
    """Dotted names in a node, the longest each."""
    queue = [node]
    while queue:
        if chain := _chain(node := queue.pop()):
            yield chain
        else:
            queue += ast.iter_child_nodes(node)


def _chain(node: ast.AST) -> Chain:
    if isinstance(node, ast.Name):
        return (node.id,)
    front = _chain(node.value) if isinstance(node, ast.Attribute) else ()
    return (*front, node.attr) if isinstance(node, ast.Attribute) and front else ()


def _root(node: ast.AST) -> str:
    """The name before the attributes, items and calls."""
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def _is_changed(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute | ast.Subscript) and not isinstance(node.ctx, ast.Load)


class Statement:
    """A statement at the top level of a module."""

    def __init__(self, node: ast.stmt, module: "Module") -> None:
        self.node, self.module = node, module
        now = [*_imported_nodes(node)]
        self.binds = {name for each in now if (name := _bound_name(each))}
        self.methods = {_root(n.func) for n in now if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute)}
        self.imports_now = [*_imports(now, module.package)]
        self.acts = any(isinstance(each, ast.Expr | ast.For | ast.While) or _is_changed(each) for each in now)

    @cached_property
    def imports(self) -> list[Import]:
        return [*_imports(ast.walk(self.node), self.module.package)]

    @cached_property
    def uses(self) -> set[Chain]:
        return {*_chains(self.node)}

    @cached_property
    def loaded(self) -> list[str | None]:
        """Modules that calls import by name; None for a name that is computed."""
        imports = [*self.module.imports, *self.imports]
        importing = {*IMPORTING, *(bound for bound, _, member in imports if member[-1:] == IMPORTING[:1])}
        calls = [node for node in ast.walk(self.node) if isinstance(node, ast.Call)]
        return [self._loaded(call) for call in calls if (_chain(call.func) or ("",))[-1] in importing]

    def _loaded(self, call: ast.Call) -> str | None:
        given: dict[str | None, ast.expr] = {each.arg: each.value for each in call.keywords}
        given |= dict(zip(("name", "package"), call.args, strict=False))
        name, package = (each.value if isinstance(each := given.get(key), ast.Constant) else None
                         for key in ("name", "package"))  # fmt: skip
        with suppress(ImportError):  # a relative name that leads nowhere
            if isinstance(name, str):
                return resolve_name(name, package if isinstance(package, str) else self.module.package)
        return None

    @cached_property
    def decorators(self) -> list[Chain]:
        nodes = getattr(self.node, "decorator_list", ())
        return [chain for node in nodes if (chain := _chain(node.func if isinstance(node, ast.Call) else node))]

    @cached_property
    def uses_now(self) -> set[Chain]:
        """Names used when the module is imported."""
        return {chain for node in _evaluated(self.node) for chain in _chains(node)}

    @cached_property
    def text(self) -> str:
        return _text(self.node)

    @cached_property
    def alters(self) -> bool:
        """Check whether a function in it changes a global variable."""
        names, own = self.module.names, self.module.names.keys() - self.module.imported
        return any(
            isinstance(node, ast.Global)
            or (_is_changed(node) and _root(node) in names)
            or (isinstance(node, ast.Expr) and not own.isdisjoint(chain[0] for chain in _chains(node)))
            for node in ast.walk(self.node)
        )

    @cached_property
    def moves(self) -> bool:
        """Check for a definition or import that can be moved in the file: no name it touches is bound twice."""
        names = self.binds | {chain[0] for chain in self.uses_now}
        return isinstance(self.node, DEFINITION | IMPORT) and all(len(self.module.names.get(n, ())) < 2 for n in names)
