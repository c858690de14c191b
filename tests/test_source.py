"""Source digests of a user's functions: small files with one edit each."""

import functools
import importlib
import itertools
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lth.store.source import Source, source
from lth.store.source.syntax import Statement

Files = dict[str, str]

FILES = {
    "mine.py": '''"""Criteria of mine."""
import helpers
import pkg.deep as deep
from helpers import Base, scale as scaled
from pkg import exported
from stars import *
try:
    import not_installed_anywhere as maybe
except ImportError:
    maybe = 30

RATE = 31
RATE += 1
TABLE = {"a": 32}
TABLE["b"] = 33
TABLE.update(c=34)
SIZES = [size * 35 for size in range(RATE)]
first, (second, *rest) = 36, (37, 38)
for step in range(39):
    pass
if (found := 40) > 1:
    def branch(): return 41
else:
    def branch(): return 42
with open(__file__) as handle:
    line = handle.readline(43)
match found:
    case int(number): matched = number + 44
STACK = [45, 46]
popped = STACK.append(47)
UNUSED = 48
Alias = list[49]

def decorator(function):
    return function if 50 else None

@decorator
def smallest(net: Alias, rate=RATE, *, k=first):
    """Lowest scores."""
    from lazy import late  # imported when called

    def nested(x):
        return [late(item) for item in SIZES if item > 51] + [TABLE, line, lambda: step]

    found = exported(deep.value), starred, nested, maybe, branch, matched, second, STACK, Mine
    return helpers.shift(scaled(net)), found

class Mine(Base):
    width: int = 52

    def score(self):
        return self.width + popped

def unrelated(x):
    return helpers.unused(x) + UNUSED + 53

def other(x):
    return x + 54
''',
    "helpers.py": """from pkg.deep import value
COUNTER = 60
FACTOR = 61

def count():
    global COUNTER
    COUNTER += 62

count()

def scale(x):
    return x * FACTOR

def shift(x):
    return _offset() + COUNTER

def _offset():
    return even(63)

def even(n):
    return n == 0 or odd(n - 64)

def odd(n):
    return n != 0 and even(n - 65)

def unused(x):
    return x + 66

class Base:
    depth = 67
""",
    "lazy.py": "def late(x):\n    return x + 70\n\ndef never(x):\n    return x + 71\n",
    "stars.py": "__all__ = ['starred']\nstarred = 80\nhidden = 81\n",
    "pkg/__init__.py": "from .inner import exported\n\ndef idle(): return 90\n",
    "pkg/inner.py": "from . import deep\n\ndef exported(x): return x + deep.depth + 91\n\ndef more(x): return 92\n",
    "pkg/deep.py": "value = 93\ndepth = 94\nneither = 95\n",
}
# Each number stands in one place; an edit replaces it.
UNREACHED = {48, 53, 54, 66, 71, 81, 90, 92, 95}
NUMBERS = [*range(30, 55), *range(60, 68), 70, 71, 80, 81, *range(90, 96)]


MODULES = (
    *("mine", "helpers", "lazy", "stars", "pkg", "pkg.inner", "pkg.deep", "even", "odd"),
    *("kept", "plug", "pack", "pack.sub", "folder", "folder.sub", "answers", "settings"),
)


def _forget() -> None:
    for name in MODULES:
        sys.modules.pop(name, None)


@pytest.fixture(autouse=True)
def _imports_as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    yield
    _forget()


def load(folder: Path, files: Files, name: str = "mine.smallest") -> Any:
    """Write files, import them afresh, and return the object with this name."""
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    _forget()
    sys.path[0] = str(folder)
    importlib.invalidate_caches()
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(module), attribute)


def of(folder: Path, files: Files | str, name: str = "mine.smallest") -> Source:
    """Source digest of the object with this name, after a fresh import."""
    found = source(load(folder, {"mine.py": files} if isinstance(files, str) else files, name))
    assert found is not None
    return found


def edited(old: str, new: str) -> Files:
    assert sum(text.count(old) for text in FILES.values()) == 1, f"{old} is in one place"
    return {path: text.replace(old, new) for path, text in FILES.items()}


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Source:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", ["", *sys.path])
        return of(tmp_path_factory.mktemp("before"), FILES)


@pytest.mark.parametrize("number", NUMBERS)
def test_a_number_counts_in_its_file_if_the_function_reaches_it(tmp_path: Path, before: Source, number: int) -> None:
    after = of(tmp_path, edited(str(number), "1000"))
    changed = {file for file in FILES if before[file] != after[file]}
    assert changed == {file for file, text in FILES.items() if str(number) in text and number not in UNREACHED}


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ('"""Lowest scores."""', '"""Another docstring."""', True),
        ('    """Lowest scores."""\n', "", True),
        ("  # imported when called", "", True),
        ("rate=RATE, *, k=first", "\n    rate = (RATE),\n\n    *, k=first,", True),
        ("import Base, scale as scaled", "import scale as scaled\nfrom helpers import Base", True),
        ("import Base, scale as scaled", "import Base, unused as scaled", False),
        ("import not_installed_anywhere as maybe", "import helpers as maybe", False),
        ("def other(x):", "def renamed(x):", True),
        ("return helpers.unused(x)", "return helpers.shift(x)", True),
        ("@decorator\n", "", False),
        ("TABLE.update(c=34)\n", "", False),
        ("UNUSED = 48", "UNUSED = 48\nprint(end='')", False),
        ("UNUSED = 48", "UNUSED = 48\nhelpers.FACTOR = 3", False),
        ("UNUSED = 48", "UNUSED = 48\nif __name__ == '__main__':\n    print(smallest(None))", True),
        ("UNUSED = 48", "UNUSED = 48\nnever = functools = 1", True),
        ("width: int = 52", "width: int = 52\n    extra: int = 1", False),
        ("class Mine(Base)", "class Mine", False),
        ("COUNTER += 62", "COUNTER -= 62", False),
        ("__all__ = ['starred']", "__all__ = ['starred', 'hidden']", False),
        ("from .inner import exported", "from .inner import more as exported", False),
        ("def never(x):", "def seldom(x):", True),
    ],
)
def test_an_edit_counts_if_it_changes_what_the_function_reaches(
    tmp_path: Path, before: Source, old: str, new: str, same: bool
) -> None:
    assert (before == of(tmp_path, edited(old, new))) == same


# Beside mine.py; in these files and in the rows below a 5 becomes a 6.
AROUND = {
    "kept.py": "ALL = {}\nEXTRA = []\n\ndef keep(f):\n    ALL[f.__name__] = f\n    return f\n\n"
    "class Table:\n    def add(self, f):\n        self.last = f\n        return f\n\nTABLE = Table()\n",
    "plug.py": "import kept\n\n@kept.keep\ndef g(): return 5\n",
    "pack/__init__.py": "",
    "pack/sub.py": "def g(): return 5\n",
    "folder/sub.py": "def g(): return 5\n",
    "answers.py": "def __getattr__(name): return 5\n",
    "settings.py": "import json\njson.mine = 5\n",
}
ROUNDABOUT = {
    "function run on import": ("TABLE = {}\ndef add(k): TABLE[k] = 1\nadd(5)", "TABLE"),
    "function run for its result": ("TABLE = {}\ndef add(k): TABLE[k] = 1\nnothing = add(5)", "TABLE"),
    "global statement": ("def configure():\n    global LATE\n    LATE = 5\nnothing = configure()", "LATE"),
    "registry": ("ALL = []\ndef keep(f): ALL.append(f)\n@keep\ndef g(): return 5", "ALL"),
    "registry in another file": ("from kept import keep, ALL\n@keep\ndef g(): return 5", "ALL"),
    "method as registry": ("from kept import TABLE\n@TABLE.add\ndef g(): return 5", "TABLE.last"),
    "method by its full name": ("import kept\n@kept.TABLE.add\ndef g(): return 5", "kept.TABLE.last"),
    "plug-in": ("import kept, plug", "kept.ALL"),
    "list in another file": ("from kept import EXTRA\nEXTRA.append(5)", "EXTRA"),
    "single dispatch": (
        "import functools\n@functools.singledispatch\ndef one(x): pass\n@one.register\ndef _(x: int): return 5",
        "one(1)",
    ),
    "__init_subclass__": (
        "ALL = []\nclass Base:\n    def __init_subclass__(cls): ALL.append(cls)\nclass Mine(Base): x = 5",
        "ALL",
    ),
    "globals()": ("def g(): return 5", "globals()['g']"),
    "getattr": ("import plug", "getattr(plug, 'g')"),
    "sys.modules": ("import sys\ndef g(): return 5", "getattr(sys.modules[__name__], 'g')"),
    "sys.modules by another name": ("from sys import modules as m\ndef g(): return 5", "vars(m[__name__])['g']"),
    "__subclasses__": ("class Base: pass\nclass Mine(Base): x = 5", "Base.__subclasses__()"),
    "__globals__": ("def g(): return 5\ndef h(): pass", "h.__globals__['g']"),
    "import_module": ("import importlib", "importlib.import_module('plug').g"),
    "import_module by another name": ("from importlib import import_module as load", "load('plug').g"),
    "import_module of a part": ("import importlib", "importlib.import_module('.sub', package='pack').g"),
    "import_module by keyword": ("import importlib", "importlib.import_module(name='plug').g"),
    "__import__": ("", "__import__('plug').g"),
    "a computed name": ("import importlib\ndef g(): return 5", "importlib.import_module(__name__).g"),
    "submodule": ("import pack.sub", "pack.sub.g"),
    "submodule from its package": ("from pack import sub as s", "s.g"),
    "folder without __init__.py": ("import folder.sub", "folder.sub.g"),
    "__getattr__ of a module": ("import answers", "answers.anything"),
    "enum": ("import enum\nclass Kind(enum.Enum): ONE = 5", "Kind.ONE"),
    "partial": ("from functools import partial\ndef g(x, y): pass\nf = partial(g, x=5)", "f"),
    "nested class": ("class Mine:\n    class Inner:\n        x = 5", "Mine.Inner.x"),
    "name that is also local": ("k = 5\nnames = [k for k in (1, 2)]", "[j for j in (k,)]"),
    "module by another name": ("import plug\nother = plug", "other.g"),
    "import for its effect": ("import settings", "0"),
    "setting of a library": ("import json\njson.mine = 5", "0"),
    "order": ("A = [5]\nB = A[:]\nA += [1]", "B"),
}


@pytest.mark.parametrize(("text", "used"), ROUNDABOUT.values(), ids=ROUNDABOUT)
def test_what_is_reached_in_a_roundabout_way_counts(tmp_path: Path, text: str, used: str) -> None:
    files = {"mine.py": f"{text}\ndef smallest(): return {used}\n", **AROUND}
    after = {path: text.replace("5", "6") for path, text in files.items()}
    assert of(tmp_path, files) != of(tmp_path, after)


def test_files_that_are_not_imported_do_not_count(tmp_path: Path) -> None:
    files = {"mine.py": "def smallest(): return 1\n", **AROUND}
    after = {path: text.replace("5", "6") for path, text in files.items()}
    assert of(tmp_path, files) == of(tmp_path, after)


def test_the_order_of_statements_counts_where_it_can_matter_and_that_of_functions_does_not(tmp_path: Path) -> None:
    first = of(tmp_path, "A = [1]\nB = A[:]\nA += [2]\ndef smallest(): return A, B, g()\ndef g(): pass\n")
    assert first == of(tmp_path, "A = [1]\nB = A[:]\nA += [2]\ndef g(): pass\ndef smallest(): return A, B, g()\n")
    assert first != of(tmp_path, "A = [1]\nA += [2]\nB = A[:]\ndef smallest(): return A, B, g()\ndef g(): pass\n")


def test_the_covered_files_are_named_from_the_folder_of_the_top_package(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there/deeper"
    assert of(here, FILES) == of(there, FILES)
    assert of(here, FILES).keys() == FILES.keys()
    assert of(here, FILES, "pkg.exported").keys() == {"pkg/deep.py", "pkg/inner.py"}


@given(st.lists(st.sets(st.integers(0, 5)), min_size=6, max_size=6), st.integers(0, 5), st.permutations(range(6)))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_edit_counts_if_and_only_if_calls_lead_there(
    tmp_path: Path, calls: list[set[int]], edit: int, order: list[int]
) -> None:
    """In any order of the functions, and across two files that import each other."""

    def files(order: list[int], edit: int | None) -> Files:
        texts = ["import odd\n", "import even\n"]
        for i in order:
            calling = [f"f{j}()" if i % 2 == j % 2 else f"{('even', 'odd')[j % 2]}.f{j}()" for j in sorted(calls[i])]
            texts[i % 2] += f"def f{i}(): return {[i == edit]}, {', '.join(calling)}\n"
        return {"even.py": texts[0], "odd.py": texts[1]}

    reached = {0}
    for _ in calls:
        reached |= {j for i in reached for j in calls[i]}
    same = of(tmp_path, files([*range(6)], None), "even.f0") == of(tmp_path, files(order, edit), "even.f0")
    assert same == (edit not in reached)


def test_a_decorated_function_is_covered_with_its_decorator(tmp_path: Path) -> None:
    text = (
        "import functools\ndef times(n):\n    def decorate(f):\n        seen = {}\n        @functools.wraps(f)\n"
        "        def run(x):\n            seen[x] = f(x) * n + 3\n            return seen[x]\n        return run\n"
        "    return decorate\n@times(5)\ndef smallest(x): return x + 7\nother = times(9)(smallest)\n"
    )
    edits = [("5", "5"), ("5", "6"), ("+ 3", "+ 4"), ("7", "8")]
    assert len({of(tmp_path, text.replace(old, new))["mine.py"] for old, new in edits}) == 4
    assert of(tmp_path, text) == of(tmp_path, text.replace("9", "10"))
    assert of(tmp_path, text, "mine.other") != of(tmp_path, text.replace("9", "10"), "mine.other")
    function = load(tmp_path, {"mine.py": text})
    before = source(function)
    function(1)
    assert source(function) == before, "what a decorator remembers isn't part of it"


MAKERS = (
    "import functools\nimport plug\n"
    "def make(inner, numbers=(1, 2)):\n    def f(x, start=inner): return inner, numbers, x + 3\n    return f\n"
    "def a(): return 4\ndef b(): return 5\n"
)


def test_what_a_function_without_a_name_closes_over_counts(tmp_path: Path) -> None:
    def digest(arguments: str, old: str = "", new: str = "") -> str:
        make = load(tmp_path, {"mine.py": MAKERS.replace(old, new), "plug.py": "def g(): return 1\n"}, "mine.make")
        found = source(eval(f"make({arguments})", {"make": make, "json": json, **vars(sys.modules["mine"])}))
        assert found is not None
        return found["mine.py"]

    assert digest("a") == digest("a") == digest("a", "return 5", "return 6")
    assert digest("a") != digest("a", "return 4", "return 6")
    assert digest("a") != digest("a", "x + 3", "x + 4")
    assert len({digest(values) for values in ("a", "b", "'a'", "plug", "json", "a, [1, {'k': None}]", "a, 1")}) == 7


def test_a_value_in_a_closure_that_cannot_be_described_is_refused(tmp_path: Path) -> None:
    make = load(tmp_path, {"mine.py": MAKERS, "plug.py": ""}, "mine.make")
    with pytest.raises(TypeError, match="bind the function that closes over it to a name in a module file"):
        source(make(object()))


@pytest.mark.parametrize(
    "function", [len, int, json.dumps, functools.lru_cache(json.dumps), pytest.raises, source, Statement]
)
def test_functions_that_are_not_the_users_have_no_source(function: Callable[..., Any]) -> None:
    assert source(function) is None


@pytest.mark.parametrize("name", ["builtins", "__main__", "nowhere", "mine"])
@pytest.mark.parametrize("text", ["def typed(): pass", "class typed: pass"])
def test_code_that_lies_in_no_file_is_refused(tmp_path: Path, name: str, text: str) -> None:
    load(tmp_path, {"mine.py": "def smallest(): pass\n"})
    space: dict[str, Any] = {"__name__": name}
    exec(text, space)
    with pytest.raises(TypeError, match=rf"^{name}\.typed is in no file .*: put it into a module file$"):
        source(space["typed"])


def test_the_text_counts_that_was_imported(tmp_path: Path) -> None:
    function = load(tmp_path, {"mine.py": "def smallest(): return 1\n"})
    before = source(function)
    (tmp_path / "mine.py").write_text("def smallest(): return 2\n")
    assert source(function) == before
    assert source(importlib.reload(sys.modules["mine"]).smallest) not in (None, before)
    assert of(tmp_path, "def smallest(): return 1\n") == before


def test_a_deleted_file_is_refused(tmp_path: Path) -> None:
    function = load(tmp_path, {"mine.py": "def smallest(): pass\n"})
    (tmp_path / "mine.py").unlink()
    with pytest.raises(TypeError, match=r"^mine\.smallest is in no file"):
        source(function)


def test_the_digest_is_the_same_in_all_versions_of_python_and_of_lth(tmp_path: Path) -> None:
    """A change here would retrain everything."""
    text = 'def smallest(a, *b: int, c=2.0, **d):\n    x = f"{a!r:>{c}} {b=}" "y"\n    return [x for x in a if x], d\n'
    assert of(tmp_path, text) == {"mine.py": "8099874c9602023cdfe6"}


def test_the_work_grows_with_the_length_of_a_file_and_no_faster(tmp_path: Path) -> None:
    def calls(size: int) -> int:
        lines = [f"def f{i}(x): return {i} * f{(i + 1) % size}(x) + f{(i + 7) % size}(x)\n" for i in range(size)]
        function, count = load(tmp_path, {"mine.py": "".join(lines)}, "mine.f0"), itertools.count()
        before = sys.getprofile()
        sys.setprofile(lambda *_: next(count) and None)
        try:
            source(function)
        finally:
            sys.setprofile(before)
        return next(count)

    assert calls(100) < 2.2 * calls(50)
