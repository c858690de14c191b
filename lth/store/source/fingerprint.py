"""From a function to its digest: the statements that its code reaches, and the values in its closure."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from itertools import accumulate
from types import ModuleType
from typing import Any

from lth.store.source.module import Module, contents, find_module, full_name, has_code, is_without_file, no_file, places
from lth.store.source.syntax import IMPORT, Chain, Import, Statement

DIGITS = 20
# Code that uses one of these may reach any name of its module.
DYNAMIC = {"eval", "exec", "globals"}
DYNAMIC_PARTS = {"__subclasses__", "__globals__"}
MODULES = ("sys", "modules")

Ref = tuple[Module, Chain]
Source = dict[str, str]  # SHA-256, first 20 hex digits, by file, relative to the folder of the top package


def source(function: Callable[..., Any]) -> Source | None:
    """Digests of a function or class of the user's; None for lth, the standard library and installed packages.

    Raise TypeError if its code lies in no file, or if it closes over a value that has no stable description.
    """
    if not has_code(function):
        return None
    reach = _Reach(cache(find_module))
    try:
        reach.cover(reach.roots(function))
    except OSError as error:
        raise no_file(function) from error
    if not reach.found:
        if is_without_file(function):
            raise no_file(function)
        return None
    return reach.digests()


def source_now(path: str) -> Source | None:
    """Digests of a function by its import path, such as mine.smallest, from the files as they are now: nothing is
    imported. None if there is no such function among the user's own.
    """
    parts = path.split(".")
    for at in range(len(parts) - 1, 0, -1):
        module = find_module(".".join(parts[:at]))
        if module is not None and parts[at] in module.names:
            reach = _Reach(cache(find_module))
            reach.cover([(module, (parts[at],))])
            return reach.digests()
    return None


class _Reach:
    """Statements reached, and values in closures."""

    def __init__(self, module: Callable[[str], Module | None]) -> None:
        self.module = module
        self.found: set[Statement] = set()
        self.values: list[str] = []
        self.seen: set[Ref | int] = set()

    def digests(self) -> Source:
        """Digest of what was reached of each file."""
        texts = sorted((module.label, module.texts(self.found)) for module in {s.module for s in self.found})
        return {label: hashlib.sha256(repr((text, self.values)).encode()).hexdigest()[:DIGITS] for label, text in texts}

    def roots(self, value: Any) -> Iterator[Ref]:
        """The top-level name bound to a function or class; else the statements around its code, and its closure."""
        homes = [(module, name) for where, name in places(value) if (module := self.module(where))]
        if bound := [(module, (name,)) for module, qualname in homes for name in module.bound(qualname, value)]:
            yield bound[0]
            return
        for module, qualname in homes:
            yield module, module.around(qualname, value)
        for content in contents(value) if homes else ():
            yield from self.content(content)

    def content(self, value: Any) -> Iterator[Ref]:
        """Describe a value in a closure."""
        if isinstance(value, ModuleType):
            self.values.append(value.__name__)
            yield from self.member(value.__name__, ())
        elif has_code(value):
            self.values.append(full_name(value))
            if id(value) not in self.seen:
                self.seen.add(id(value))
                yield from self.roots(value)
        elif isinstance(value, dict | list | tuple):
            self.values.append(f"{type(value).__name__} of {len(value)}")
            for item in [*value, *value.values()] if isinstance(value, dict) else value:
                yield from self.content(item)
        elif value is None or isinstance(value, bool | int | float | complex | str | bytes):
            self.values.append(repr(value))
        else:
            raise TypeError(f"{value!r} in a closure has no stable description: bind the function that closes over it "
                            "to a name in a module file")  # fmt: skip

    def cover(self, roots: Iterable[Ref]) -> None:
        """Follow roots, then what acts when the modules reached are imported."""
        self.follow(roots)
        loaded: list[Module] = []
        while fresh := [module for module in self.loads(loaded) if module not in loaded]:
            loaded += fresh
            self.follow(ref for m in fresh for s in m.statements if self.acts(s) for ref in self.through(s))

    def loads(self, loaded: list[Module]) -> list[Module]:
        """Modules of the statements reached, and those that they and the top level of `loaded` import."""
        imports = [i for s in self.found for i in s.imports] + [i for module in loaded for i in module.imports]
        names = {statement.module.name for statement in self.found} | {".".join((name, *m)) for _, name, m in imports}
        parts = {part for name in names for part in accumulate(name.split("."), "{}.{}".format)}
        return [module for part in sorted(parts) if (module := self.module(part))]

    def follow(self, refs: Iterable[Ref]) -> None:
        """Add the statements that references lead to, and those that these lead to."""
        queue = [*refs]
        while queue:
            if (ref := queue.pop()) not in self.seen:
                self.seen.add(ref)
                queue += self.step(*ref)

    def step(self, module: Module, chain: Chain) -> Iterator[Ref]:
        """References in the statements that bind a name, and in the modules that it is imported from."""
        for statement in module.names.get(chain[0], ()) if chain else module.statements:
            yield from self.through(statement)
        if chain:
            yield from self.targets(module.imports, chain)
        if chain and chain[0] not in module.names:
            yield from self.elsewhere(module, chain)

    def through(self, statement: Statement) -> Iterator[Ref]:
        self.found.add(statement)
        for chain in statement.uses:
            yield statement.module, chain
            yield from self.targets(statement.imports, chain)
            if DYNAMIC_PARTS & {*chain} or self.is_table(statement, chain):
                yield statement.module, ()
        for name in statement.loaded:
            yield from [(statement.module, ())] if name is None else self.member(name, ())

    def is_table(self, statement: Statement, chain: Chain) -> bool:
        """Check for the table of all modules, sys.modules, by whatever name."""
        imports = [*statement.module.imports, *statement.imports]
        return any(bound == chain[0] and (name, *member, *chain[1:])[:2] == MODULES for bound, name, member in imports)

    def targets(self, imports: Iterable[Import], chain: Chain) -> Iterator[Ref]:
        for bound, target, member in imports:
            if bound == chain[0]:
                yield from self.member(target, member + chain[1:])

    def elsewhere(self, module: Module, chain: Chain) -> Iterator[Ref]:
        """Meanings of a name that no statement of the module binds: by a star import, or a submodule of a package."""
        if chain[0] in DYNAMIC:
            yield module, ()
        for star in filter(None, (self.module(name) for bound, name, _ in module.imports if bound == "*")):
            yield from ((star, chain), (star, ("__all__",)))
        if module.name == module.package and self.module(name := f"{module.name}.{chain[0]}"):
            yield from self.member(name, chain[1:])

    def member(self, target: str, chain: Chain) -> Iterator[Ref]:
        """An attribute of a module; the whole module if its text doesn't say where the attribute comes from."""
        if (module := self.module(target)) is None:
            return
        if not chain or chain[0] in module.names:
            yield module, chain
        elif self.module(name := f"{target}.{chain[0]}"):
            yield from self.member(name, chain[1:])
        elif "*" in module.names:
            yield module, chain
        else:
            yield module, ("__getattr__",) if "__getattr__" in module.names else ()

    def acts(self, statement: Statement) -> bool:
        """Check whether importing the statement may change more than the names it binds."""
        if statement.acts or isinstance(statement.node, IMPORT):
            return statement.acts
        if any(self.is_method(statement.module, chain) for chain in statement.decorators):
            return True
        return any(self.changes(statement.module, chain) for chain in statement.uses_now)

    def is_method(self, module: Module, chain: Chain) -> bool:
        """Check for an attribute of one of the user's objects, rather than of a module."""
        refs = [(module, chain)]
        for module, chain in refs:
            if len(chain) > 1:
                if chain[0] in module.names and chain[0] not in module.imported:
                    return True
                refs += [ref for ref in self.targets(module.imports, chain) if ref not in refs]
        return False

    def changes(self, module: Module, chain: Chain) -> bool:
        """Check whether the code reached from a name changes global variables."""
        reach = _Reach(self.module)
        reach.follow([(module, chain)])
        return any(statement.alters for statement in reach.found)
