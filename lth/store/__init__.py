"""What was trained, found again by what it is; the only door to the result files."""

from lth.store.file import Damaged
from lth.store.record import Record, records
from lth.store.store import Store, read_result

__all__ = ["Damaged", "Record", "Store", "read_result", "records"]
