"""What a paper claims, measured on a table of tickets."""

from lth.analysis.claim.claim import Claim, Measured
from lth.analysis.claim.file import of_file, smallest
from lth.analysis.claim.measure import (
    EARLY,
    FINAL,
    added,
    best_gain,
    between,
    earlier,
    faster,
    gain,
    lowest,
    value,
    worst,
)

__all__ = [
    "EARLY",
    "FINAL",
    "Claim",
    "Measured",
    "added",
    "best_gain",
    "between",
    "earlier",
    "faster",
    "gain",
    "lowest",
    "of_file",
    "smallest",
    "value",
    "worst",
]
