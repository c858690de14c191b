"""Leases: of all processes that want the same thing, on any hosts, one holds it, and the others see what it is at.

A lease is a file, created whole where there is none, that its owner writes anew every BEAT seconds. Whoever has watched
one unchanged for PATIENCE seconds, by its own clock, takes it over; whoever knows the owner to be dead does so at once.
No file system has to know locks, and no two clocks are compared. An owner that stood still for so long goes on, as does
the one that took over: both do the same work, and write whole and equal files. Imports no PyTorch.
"""

import contextlib
import json
import logging
import os
import platform
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from lth.file import here, started
from lth.store.exclusive import LARGEST, create, read, remove
from lth.store.file import cant_write
from lth.store.held import is_dead_here, look, parsed

log = logging.getLogger("lth")
BEAT = 10.0  # seconds between two signs of life
PATIENCE = 60.0  # seconds without one, after which a lease is taken over
BLOCK = 512  # bytes of which a lease is a multiple, so that its size seldom changes


@dataclass(frozen=True)
class Unchanged:
    """The content of a lease that another process holds, and since when, by the clock of this one, it is the same.
    alive: it changed since it was seen first, or its owner is a process of this host.
    """

    content: bytes
    since: float
    alive: bool


class Lease:
    """A lease of this process; `take` gives one."""

    def __init__(self, path: Path, facts: Mapping[str, Any]) -> None:
        self.path = path.absolute()  # the file stays this one, should the process change its folder
        self.facts, self.token, self.beat = dict(facts), secrets.token_hex(16), 0
        self.pid, self.since = os.getpid(), datetime.now(UTC).isoformat(timespec="seconds")
        self.writing = threading.Lock()

    def note(self, **facts: Any) -> None:
        """Change what the owner is at, as others see it from the next sign of life on."""
        self.facts.update(facts)

    def is_own(self) -> bool:
        """True unless another process took over."""
        return (held := look(self.path)) is not None and held.token == self.token

    def release(self) -> None:
        """Delete the lease, if it still is this one. Does nothing in a fork of the owner."""
        if os.getpid() != self.pid:
            return
        with self.writing, contextlib.suppress(OSError):  # one that stays is taken over
            if _held.pop(self.token, None) and self.is_own():
                remove(self.path, lambda content: self.token.encode() in content)

    def create(self) -> bool:
        """Create the file; False if there is one."""
        _beating()
        if created := create(self.path, self._content()):
            _held[self.token] = self
        return created

    def refresh(self) -> None:
        """Give a sign of life, into no file but this lease."""
        with self.writing:
            if self.token not in _held:
                return
            self.beat += 1
            try:
                with open(self.path, "r+b", buffering=0) as file:
                    self._write(file.fileno())
            except FileNotFoundError:  # somebody took it for an older one, and did not live to put it back
                create(self.path, self._content())

    def _write(self, file: int) -> None:
        if self.token.encode() in os.pread(file, LARGEST, 0):
            content = self._content()
            os.pwrite(file, content, 0)
            os.ftruncate(file, len(content))
        else:
            del _held[self.token]
            log.info(
                "%s was deleted, or taken over while this process stood still: what it holds may be done twice",
                self.path,
            )

    def _content(self) -> bytes:
        process = {"host": platform.node(), "pid": self.pid, "place": here(), "started": started(self.pid)}
        state = {"token": self.token, "since": self.since, "beat": self.beat, "facts": dict(self.facts)}
        data = json.dumps({**process, **state}, default=str).encode()
        return data.ljust(BLOCK * (len(data) // BLOCK + 1) - 1) + b"\n"


_held: dict[str, Lease] = {}
_watched: dict[Path, Unchanged] = {}


def take(path: Path, facts: Mapping[str, Any] | None = None) -> Lease | None:
    """The lease at this path, taken; None while another process holds it, and if its folder is not there.

    Raises OSError if nothing can be written there.
    """
    content = read(path)
    if content is not None and _is_alive(path, content):
        return None
    lease = Lease(path, facts or {})
    try:
        if content is not None and not remove(path, lambda found: found == content):
            return None
        _watched.pop(path, None)
        return lease if lease.create() else None
    except FileNotFoundError:
        return None
    except OSError as error:
        raise cant_write(path.parent, error) from error


def clear(path: Path) -> None:
    """Delete the lease at this path if its owner is dead."""
    if (content := read(path)) is not None and not _is_alive(path, content):
        remove(path, lambda found: found == content)


def is_undecided(path: Path) -> bool:
    """True if another process holds the lease that may be dead: it is of another host, and silent since it was seen."""
    return path in _watched and not _watched[path].alive


def _is_alive(path: Path, content: bytes) -> bool:
    """True unless the owner of a lease is dead or has been silent for long."""
    held, before, now = parsed(content), _watched.get(path), time.monotonic()
    if held and is_dead_here(held):
        return False
    if before is None or before.content != content:
        near = held is not None and held.place == here()
        _watched[path] = Unchanged(content, now, alive=near or before is not None)
        return True
    if now - before.since < PATIENCE:
        return True
    log.info("%s has not changed for %.0f s: it is taken over", path, now - before.since)
    return False


@cache
def _beating() -> None:
    """Begin to give signs of life, once for all leases of the process."""
    threading.Thread(target=_beat, args=(_held,), name="leases", daemon=True).start()


def _beat(held: Mapping[str, Lease]) -> None:
    while True:
        time.sleep(BEAT)
        for lease in [*held.values()]:
            with contextlib.suppress(OSError):
                lease.refresh()


def _forget() -> None:
    """In a fork: the leases are those of the parent."""
    _held.clear()
    _beating.cache_clear()


os.register_at_fork(after_in_child=_forget)
