"""Definitions of functions by name, read from the source: importing them would load torch."""

import ast
import importlib.util
from collections.abc import Iterator
from functools import cache
from pathlib import Path


@cache
def definition(name: str) -> tuple[str, ast.stmt]:
    """Module and statement that define <package>.<module>.<name>, followed through imports from the same package.
    Raises LookupError if there is none.
    """
    module, _, short = name.rpartition(".")
    package = module.partition(".")[0]
    for statement in _statements(module):
        match statement:
            case ast.FunctionDef(name=defined) | ast.ClassDef(name=defined) if defined == short:
                return module, statement
            case ast.Assign(targets=[ast.Name(id=defined)]) if defined == short:
                return module, statement
            case ast.ImportFrom(module=str(origin), names=names) if origin.partition(".")[0] == package:
                for alias in names:
                    if short == (alias.asname or alias.name):
                        return definition(f"{origin}.{alias.name}")
    raise LookupError(name)


def _statements(module: str) -> Iterator[ast.stmt]:
    package, *parts = module.split(".")
    if (top := _file(package)) is None:
        return
    path = top.parent.joinpath(*parts)
    file = top if not parts else path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    if file.is_file():
        yield from _parsed(file).body


@cache
def _file(package: str) -> Path | None:
    """The file of a top-level module or package, which is not imported."""
    try:
        found = importlib.util.find_spec(package)
    except ValueError:  # an empty name, or a module that was made by hand
        return None
    return Path(found.origin) if found and found.origin else None


@cache
def _parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))
