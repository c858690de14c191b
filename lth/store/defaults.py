"""Values of the configuration that records leave out because they are the defaults of their functions.

A recipe is described without its defaults (see `lth.store.digest`), and so are the columns of a record: of a sweep over
a rate, the training with the default has no column. A table gives it its value. A record notes the defaults of
functions of the user's, which may change; others are read from the source.
"""

import ast
from collections.abc import Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from lth.store.source import source_now
from lth.store.source.definition import definition

if TYPE_CHECKING:
    import pandas as pd

# Column -> its value where a row has none.
USUAL = {"rewind.step": 0, "task": "classification", "precision": "fp32", "kernel": "auto", "threads": 1,
         "augment": "none", "regularization": "none", "updater": "none", "layers_kept": 1}  # fmt: skip
NONE: Mapping[str, Any] = {}
ROOMS = {"optimizer": "torch.optim"}  # column -> where its functions are, if not in the module of lth of this name


def completed(columns: Mapping[str, Any], wanted: Iterable[str], code: Mapping[str, Any] = NONE) -> dict[str, Any]:
    """The columns of a record with the defaults of those of `wanted` that it lacks. code: that of the record, whose
    "defaults" are of functions of the user's; older versions noted none, and the source has them if it did not change.
    """
    noted = code.get("defaults")
    known = {path: noted is None and _source(path) == files for path, files in code.get("sources", {}).items()}
    paths = {path.rpartition(".")[2]: path if known[path] else "" for path in known}
    lacking = [column for column in wanted if column not in columns]
    found = {column: (noted or {}).get(column, _default(column, columns, paths)) for column in lacking}
    return {**columns, **{column: value for column, value in found.items() if value is not None}}


def filled(table: "pd.DataFrame") -> "pd.DataFrame":
    """The table with the usual value, or the default of the row's function, in the place of a missing one."""
    holes = {str(column) for column in table if table[column].isna().any()}
    usual = {column: table[column].fillna(value) for column, value in USUAL.items() if column in holes}
    table = table.assign(**usual)
    bound = [column for column in sorted(holes - {*USUAL}) if column.partition(".")[0] in table and "." in column]
    table = table.assign(**{column: _filled(table, column) for column in bound})
    whole = [column for column in (*usual, *bound) if _is_whole(table[column])]
    return table.astype(dict.fromkeys(whole, int))


def _filled(table: "pd.DataFrame", column: str) -> "pd.Series":
    group, values = column.partition(".")[0], table[column]
    defaults = {name: _default(column, {group: name}, {}) for name in table.loc[values.isna(), group].dropna().unique()}
    known = table[group].map({name: value for name, value in defaults.items() if value is not None})
    return values.astype(object).where(values.notna() | known.isna(), known.astype(object)).infer_objects()


def _is_whole(values: "pd.Series") -> bool:
    """True for floats that only a missing value kept from being whole numbers."""
    return bool(values.dtype.kind == "f" and values.notna().all() and (values % 1 == 0).all())


def _default(column: str, columns: Mapping[str, Any], own: Mapping[str, str]) -> Any:
    """The default of a column, as a record would hold it; None if there is none that is known."""
    if column in USUAL:
        return USUAL[column]
    group, _, key = column.partition(".")
    name = str(columns.get(group))
    return _defaults(own.get(name, f"{ROOMS.get(group, f'lth.{group}')}.{name}")).get(key)


_source = cache(source_now)


@cache
def _defaults(function: str) -> Mapping[str, Any]:
    """Argument -> default, of those that are literals; nothing of a function that isn't found."""
    try:
        _, found = definition(function)
    except (LookupError, SyntaxError, OSError, UnicodeDecodeError):
        return {}
    if isinstance(found, ast.ClassDef):
        found = next((s for s in found.body if isinstance(s, ast.FunctionDef) and s.name == "__init__"), found)
    if not isinstance(found, ast.FunctionDef) or _has_others(function, found):
        return {}
    places = [*found.args.posonlyargs, *found.args.args]
    pairs = [*zip(reversed(places), reversed(found.args.defaults), strict=False)]
    pairs += [(a, node) for a, node in zip(found.args.kwonlyargs, found.args.kw_defaults, strict=True) if node]
    return {argument.arg: value for argument, node in pairs if (value := _literal(node)) is not None}


def _has_others(function: str, found: ast.FunctionDef) -> bool:
    """True if a decorator of the user's own may give a function other defaults than those of its source."""
    own = function.partition(".")[0] not in ("lth", "torch")
    return own and not all(ast.unparse(each).startswith(("torch.", "functools.")) for each in found.decorator_list)


def _literal(node: ast.expr) -> Any:
    """A literal as `describe` and a record have it: whole floats as whole numbers, lists as text."""
    try:
        value = _plain(ast.literal_eval(node))
    except ValueError:
        return None
    return str(value) if isinstance(value, list | dict) else value


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
