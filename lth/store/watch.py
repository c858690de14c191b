"""Memory of a reader that looks at records and leases again and again, as `lth status --watch` does.

A lease of this host lives as long as its process; that of another lives if it changed while it was watched, or, at the
first look, if it was written shortly before by the clock of this machine. Changes nothing. Imports no PyTorch.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lth.file import here
from lth.store.held import Held, is_dead_here, look
from lth.store.lease import PATIENCE
from lth.store.record import content

SILENT = 180.0  # seconds without a sign of life, by the clock of this machine, after which a job counts as dead


@dataclass(frozen=True)
class Seen:
    """A lease, and whether it lives; silent: seconds since its last sign of life, by the clock of this machine."""

    path: Path
    held: Held
    alive: bool
    silent: float


@dataclass
class Watch:
    """Memory of a reader from one look to the next. clock: monotonic, in seconds. now: time, as that of files."""

    clock: Callable[[], float] = time.monotonic
    now: Callable[[], float] = time.time
    beats: dict[Path, tuple[tuple[str, int], float, bool]] = field(default_factory=dict)
    records: dict[Path, tuple[tuple[int, ...], dict[str, Any]]] = field(default_factory=dict)

    def lease(self, path: Path) -> Seen | None:
        """A lease, and whether its owner lives; None if there is none."""
        held = look(path)
        if held is None:
            return None
        unchanged, changed = self._unchanged(path, held)
        silent = self.since(path) or 0.0
        if held.place == here():
            return Seen(path, held, not is_dead_here(held), silent)
        return Seen(path, held, unchanged < PATIENCE if changed else silent < SILENT and unchanged < PATIENCE, silent)

    def since(self, path: Path) -> float | None:
        """Seconds since a file was written, by the clock of this machine; None if there is none."""
        try:
            return max(0.0, self.now() - path.stat().st_mtime)
        except OSError:
            return None

    def _unchanged(self, path: Path, held: Held) -> tuple[float, bool]:
        """Seconds for which a lease was watched unchanged, and whether it changed before."""
        key, now = (held.token, held.beat), self.clock()
        before, since, changed = self.beats.get(path, (key, now, False))
        if key != before:
            since, changed = now, True
        self.beats[path] = key, since, changed
        return now - since, changed

    def record(self, file: Path) -> dict[str, Any]:
        """A record; it is read again if the file changed. Raises Corrupt."""
        signature = _signature(file)
        if file not in self.records or self.records[file][0] != signature:
            self.records[file] = signature, content(file)
        return self.records[file][1]


def _signature(file: Path) -> tuple[int, ...]:
    try:
        stat = file.stat()
    except OSError:
        return ()
    return stat.st_mtime_ns, stat.st_size, stat.st_ino
