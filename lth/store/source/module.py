"""The user's modules: where they lie, their top-level statements, and which of them a function comes from."""

import ast
import builtins
import importlib.util
import inspect
import sys
import sysconfig
from collections import defaultdict
from collections.abc import Iterator
from functools import cache, reduce
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

import lth
from lth.store.source.syntax import Chain, Statement, split

NOT_OWN = {"site-packages", "dist-packages"}  # folders of installed packages, wherever they lie

_read: dict[str, tuple[ModuleSpec, "Module"]] = {}


def find_module(name: str) -> "Module | None":
    """One of the user's modules, as its file was when first read after the import: that is the code that runs."""
    spec = _spec(name)
    if spec is None or not _is_own(spec):
        return None
    if name not in _read or _read[name][0] is not spec:
        _read[name] = spec, Module(name, spec)
    return _read[name][1]


def _spec(name: str) -> ModuleSpec | None:
    """Spec of a module that is imported or could be; its packages aren't imported for that."""
    package = name.rpartition(".")[0]
    if name in ("", "__main__"):
        return None
    if name in sys.modules:
        return getattr(sys.modules[name], "__spec__", None)
    if not package:
        return importlib.util.find_spec(name)
    above = _spec(package)
    folders = above.submodule_search_locations if above and _is_own(above) else None
    return None if folders is None else PathFinder.find_spec(name, folders)


def has_code(value: Any) -> bool:
    """Check for a function, a method, a class, or a wrapper of one."""
    return inspect.isroutine(value) or inspect.isclass(value) or hasattr(value, "__wrapped__")


def places(value: Any) -> Iterator[tuple[str, str]]:
    """Module and qualified name of a function or class, by its attributes and by its code."""
    for function in (value, inspect.unwrap(value)):
        yield getattr(function, "__module__", None) or "", getattr(function, "__qualname__", "")
        if inspect.isfunction(function):
            yield function.__globals__.get("__name__", ""), function.__code__.co_qualname


def contents(function: Any) -> list[Any]:
    """Values that the text of a function doesn't give."""
    cells = [cell.cell_contents for cell in getattr(function, "__closure__", None) or ()]
    names = ("__defaults__", "__kwdefaults__", "__wrapped__", "__self__")
    return cells + [getattr(function, name) for name in names if hasattr(function, name)]


def is_without_file(value: Any) -> bool:
    """Check for Python code of no module, such as that of a prompt or of exec."""
    module = getattr(value, "__globals__", {}).get("__name__") or getattr(value, "__module__", None) or ""
    is_builtin = getattr(builtins, getattr(value, "__name__", ""), None) is value
    is_python = inspect.isfunction(value) or inspect.isclass(value)
    return is_python and not is_builtin and (module == "builtins" or _spec(module) is None)


def no_file(value: Any) -> TypeError:
    """Error for a function or class whose code lies in no file."""
    return TypeError(f"{full_name(value)} is in no file that can be imported, so edits would go unnoticed: "
                     "put it into a module file")  # fmt: skip


def full_name(value: Any) -> str:
    """Module and qualified name of a value."""
    return f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', type(value).__name__)}"


def _is_own(spec: ModuleSpec) -> bool:
    if spec.origin:
        return spec.origin.endswith(".py") and is_users(spec.origin)
    folders = [*(spec.submodule_search_locations or ())]  # a package without `__init__.py`
    return bool(folders) and all(map(is_users, folders))


@cache
def is_users(file: str) -> bool:
    """Check for a file of the user's: neither lth's, nor of the standard library or an installed package."""
    path = Path(file).resolve()
    return not any(map(path.is_relative_to, _installed())) and NOT_OWN.isdisjoint(path.parts)


@cache
def _installed() -> list[Path]:
    """Folders of the standard library, of packages, and of lth."""
    folders = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    return [Path(folder).resolve() for folder in (*folders, str(Path(lth.__file__).parent))]


class Module:
    """One of the user's modules; a package without `__init__.py` has no statements."""

    def __init__(self, name: str, spec: ModuleSpec) -> None:
        self.name, self.file, self.package = name, spec.origin or "", spec.parent or ""
        self.label = "/".join(Path(self.file).parts[-len(name.split(".")) - (name == self.package) :])
        tree = ast.parse(Path(self.file).read_bytes() if self.file else b"")
        self.statements = [Statement(node, self) for top in tree.body for node in split(top)]
        self.imports = [imported for statement in self.statements for imported in statement.imports_now]
        self.imported = {bound for bound, _, _ in self.imports}
        self.names: defaultdict[str, list[Statement]] = defaultdict(list)
        for statement in self.statements:
            for bound in statement.binds | (statement.methods - self.imported):  # a method may change its object
                self.names[bound].append(statement)

    def texts(self, reached: set[Statement]) -> tuple[list[str], list[str]]:
        """Reached statements in the order of the file, then those whose order can't matter."""
        ordered = [statement for statement in self.statements if statement in reached]
        return [s.text for s in ordered if not s.moves], sorted(s.text for s in ordered if s.moves)

    def bound(self, qualname: str, value: Any) -> list[str]:
        """Top-level names that are bound to a value now, or to the class around it."""
        module = sys.modules.get(self.name)
        found = reduce(lambda owner, part: getattr(owner, part, None), qualname.split("."), module)
        same = (name for name, other in getattr(module, "__dict__", {}).items() if other is value)
        names = [qualname.partition(".")[0]] if found is value else same
        return [name for name in names if name in self.names]

    def around(self, qualname: str, value: Any) -> Chain:
        """The statement with the code of a value; the whole module if it has no name."""
        if (name := qualname.partition(".")[0]) in self.names:
            return (name,)
        if getattr(getattr(value, "__code__", None), "co_filename", None) != self.file:
            raise no_file(value)
        return ()
