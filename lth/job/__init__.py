"""One job: a replicate of a configuration, from values to trained tickets, recorded as they come."""

from lth.job.run import run, stored
from lth.job.values import Branch, Job, Quantized

__all__ = ["Branch", "Job", "Quantized", "run", "stored"]
