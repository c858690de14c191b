"""One configuration with all its replicates: from values to trained tickets, recorded as they finish."""

from lth.job.run import migrate, run, status, stored
from lth.job.values import Branch, Job, Place, place

__all__ = ["Branch", "Job", "Place", "migrate", "place", "run", "status", "stored"]
