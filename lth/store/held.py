"""Leases (`lth.store.lease`) as they are read, whoever holds them. Changes nothing."""

import contextlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lth.file import here, is_gone
from lth.store.exclusive import read


@dataclass(frozen=True)
class Held:
    """A lease as it was read. since: ISO 8601. beat: signs of life so far. facts: what the owner is at, of a training
    its ticket, experiment, job, step and steps. place, started: what makes the process id unique.
    """

    host: str
    pid: int
    token: str
    since: str
    beat: int
    facts: Mapping[str, Any]
    place: str
    started: int


def look(path: Path) -> Held | None:
    """The lease at this path, whoever holds it; None if there is none that can be read. Changes nothing."""
    with contextlib.suppress(OSError):
        for _ in range(3):
            if (content := read(path)) is None or (held := parsed(content)):
                return None if content is None else held
            time.sleep(0.01)  # it is being written
    return None


def is_dead_here(held: Held) -> bool:
    """True if the owner was a process of this host, or of this container on it, and has ended."""
    return held.place == here() and is_gone(held.pid, held.started)


def parsed(content: bytes) -> Held | None:
    """The lease with this content; None if it is none, or half of one."""
    try:
        value = json.loads(content)
        text = {name: str(value[name]) for name in ("host", "token", "since", "place")}
        numbers = {name: int(value[name]) for name in ("pid", "beat", "started")}
        return Held(**text, **numbers, facts=dict(value["facts"]))  # type: ignore[arg-type]
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
