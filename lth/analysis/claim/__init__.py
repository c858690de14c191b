"""Claims of papers, measured on tables of tickets and of files."""

from lth.analysis.claim.claim import Claim
from lth.analysis.claim.files import file_value, smallest_file
from lth.analysis.claim.measures import (
    EARLY,
    FINAL,
    STEP,
    added,
    best_gain,
    between,
    earlier,
    faster,
    gain,
    highest,
    lowest,
    margin,
    value,
    worst,
)
from lth.analysis.claim.rows import Measured

__all__ = [
    "EARLY",
    "FINAL",
    "STEP",
    "Claim",
    "Measured",
    "added",
    "best_gain",
    "between",
    "earlier",
    "faster",
    "file_value",
    "gain",
    "highest",
    "lowest",
    "margin",
    "smallest_file",
    "value",
    "worst",
]
