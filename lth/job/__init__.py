"""One job: a replicate of a configuration, from values to trained tickets, recorded as they come."""

from lth.job.value import Branch, Job, Quantized
from lth.job.walk import run, stored

__all__ = ["Branch", "Job", "Quantized", "run", "stored"]
