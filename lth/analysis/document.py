"""YAML files of users, read in bounded time and memory: no alias bombs, no towers of lists, no endless numbers."""

import contextlib
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from lth import UserError
from lth.file import read_whole

LARGEST = 2**18  # bytes of a file
DEEPEST = 40  # lists and mappings in each other
MOST = 20_000  # values, with every alias written out
LONGEST, LONGEST_NUMBER = 10_000, 100  # characters
HUGE = 2**63
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Refused(Exception):
    """A document asks for more than a table or a configuration needs."""


def read(file: Path) -> Any:
    """Content of a YAML file: finite numbers, text as keys, no key twice. Raises UserError."""
    with _named(file):
        text = _text(file)
        _check(text)
        return yaml.load(text, Loader=LOADER)  # a safe loader, of bounded input


def _text(file: Path) -> str:
    try:
        return read_whole(file, LARGEST).decode()
    except OSError as error:
        raise UserError(f"{file} can't be read as YAML: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{file} can't be read as YAML: it is not UTF-8 ({error})") from error


@contextlib.contextmanager
def _named(file: Path) -> Iterator[None]:
    try:
        yield
    except UserError:
        raise
    except Refused as error:
        raise UserError(f"{file}: {error}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(f"{file} can't be read as YAML: {' '.join(str(error).split())}") from error


def _check(text: str) -> None:
    """Raise Refused, from the events first: they come one by one, however deep or long the document is."""
    depth = 0
    for count, event in enumerate(yaml.parse(text, Loader=LOADER)):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise Refused(f"{_line(event)}lists and mappings nested more than {DEEPEST} deep")
        if count > MOST:
            raise Refused(f"more than {MOST:,} values")
        if isinstance(event, yaml.ScalarEvent) and len(event.value) > LONGEST:
            raise Refused(f"{_line(event)}a text of more than {LONGEST:,} characters")
    for node in yaml.compose_all(text, Loader=LOADER):
        if node is not None:
            _size(node, {}, set())


def _size(node: yaml.Node, known: dict[int, tuple[int, int]], above: set[int]) -> tuple[int, int]:
    """Number of values of a node, with its aliases written out, and how deep they are; raises Refused."""
    if id(node) in above:
        raise Refused(f"{_line(node)}a value that contains itself")
    if id(node) not in known:
        sizes = [_size(each, known, above | {id(node)}) for each in _children(node)]
        known[id(node)] = 1 + sum(size for size, _ in sizes), 1 + max((depth for _, depth in sizes), default=0)
        if known[id(node)][0] > MOST or known[id(node)][1] > DEEPEST:
            raise Refused(f"{_line(node)}aliases that stand for more than {MOST:,} values, or {DEEPEST} in each other")
    return known[id(node)]


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        _check_keys(node)
        return [each for pair in node.value for each in pair]
    if isinstance(node, yaml.SequenceNode):
        return list(node.value)
    _check_number(node)
    return []


def _check_keys(node: yaml.MappingNode) -> None:
    for key, _ in node.value:
        if key.tag not in ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"):
            raise Refused(f"{_line(key)}the key {str(key.value)[:40]} is no text: put it in quotes")
    for name, count in Counter(key.value for key, _ in node.value).items():
        if count > 1 and name != "<<":
            raise Refused(f"{_line(node)}the key {name[:40]} is given twice")


def _check_number(node: yaml.Node) -> None:
    kind = node.tag.rpartition(":")[2]
    if kind not in ("int", "float"):
        return
    if len(node.value) > LONGEST_NUMBER:
        raise Refused(f"{_line(node)}a number of more than {LONGEST_NUMBER} characters")
    value = yaml.load(node.value, Loader=LOADER)
    if isinstance(value, int | float) and not (math.isfinite(value) and abs(value) < HUGE):
        raise Refused(f"{_line(node)}{node.value[:40]}: a number must be finite, and below 2^63")


def _line(place: Any) -> str:
    return f"line {place.start_mark.line + 1}: " if place.start_mark else ""
