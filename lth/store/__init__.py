"""Results on disk, found again by what decides them, and their tables; the only door to result files."""

from typing import TYPE_CHECKING, Any

from lth.store.file import Corrupt
from lth.store.record import Record, records
from lth.store.result import read_result

if TYPE_CHECKING:
    from lth.store.store import Store

__all__ = ["Corrupt", "Record", "Store", "read_result", "records"]


def __getattr__(name: str) -> Any:
    """Import the store, and PyTorch with it, on first use: most commands do without."""
    if name == "Store":
        from lth.store.store import Store

        return Store
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
