"""The folder of a store: what is read from it, warned of, and waited for."""

import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeVar

from lth import UserError
from lth.store.file import Corrupt, Missing, Newer
from lth.store.lease import Lease
from lth.store.locks import until
from lth.ticket import Ticket

log = logging.getLogger("lth")
T = TypeVar("T")
Keep = Literal["all", "last", "none"]


class Busy(Exception):
    """A training that is needed is being trained by another process, for longer than patience lasts. trained: trainings
    that the job did before.
    """

    trained = 0


class Folder:
    """Results under `root`. keep: the W_T that stay on the disk, "all", "last" (of the levels) or "none"; an entry
    remembers it. `wait` is called again and again while another process holds what is needed. patience: seconds that a
    training of another process is waited for before Busy is raised; what was finished by then is stored. writes: False
    to look only, which changes nothing on the disk and waits for nothing.
    """

    def __init__(
        self,
        root: str | Path,
        *,
        keep: Keep = "all",
        wait: Callable[[], None] = lambda: None,
        patience: float = math.inf,
        writes: bool = True,
    ) -> None:
        self.root, self.keep, self.wait, self.patience, self.writes = Path(root), keep, wait, patience, writes
        self.reported = set[str]()
        self.leases: dict[Ticket, Lease] = {}

    def patient(self) -> Callable[[], None]:
        """`wait`, until patience ends; then it raises Busy."""
        return until(self.patience, Busy("what it needs next is being trained by another process"), self.wait)

    def intact(self, read: Callable[[], T]) -> T | None:
        """Content that is read; None if it is absent or, after a warning, corrupt. Raises UserError if it is newer."""
        try:
            return read()
        except Missing:
            return None
        except Corrupt as error:
            self.report(error, "it is computed again")
            return None

    def report(self, error: Corrupt, remedy: str) -> None:
        """Warn of a file, once. One of a newer version is an error, unless it is only looked at."""
        if isinstance(error, Newer) and self.writes:
            raise UserError(str(error), code=1) from error
        message = str(error) if isinstance(error, Newer) else f"{error}; {remedy}"
        if message not in self.reported:
            self.reported.add(message)
            log.warning("%s", message)
