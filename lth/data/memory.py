"""Memory of this machine, and what fits into it."""

import math
import os
from typing import TYPE_CHECKING

from lth import UserError
from lth.data.stream import Stream

if TYPE_CHECKING:
    from lth.data.dataset import Split


def check_fits(split: "Split", size: int) -> None:
    """Raise UserError if a split that streams does not fit into memory as one array. size: bytes of a value."""
    if isinstance(split.source, Stream) and (needed := len(split) * math.prod(split.source.one) * size) > memory() / 2:
        raise UserError(f"{len(split)} streamed inputs take {needed / 1e9:,.1f} GB as one array: training reads them "
                        "as needed, other commands take a part, such as data.limit=1000")  # fmt: skip


def memory() -> float:
    """Bytes of memory of this machine; infinite if it does not say."""
    try:
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (ValueError, OSError, AttributeError):
        return math.inf
