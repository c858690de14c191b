"""One configuration with all its replicates: from values to trained tickets, recorded as they finish."""

from lth.job.branch import Branch, Place, place
from lth.job.idle import idle, of_data, of_outputs
from lth.job.run import run, status, trainer
from lth.job.sharing import bound, planned, trainings
from lth.job.source import origin, origin_places
from lth.job.stored import Trains, ended, migrate, stored, wait
from lth.job.values import Job

__all__ = [
    "Branch",
    "Job",
    "Place",
    "Trains",
    "bound",
    "ended",
    "idle",
    "migrate",
    "of_data",
    "of_outputs",
    "origin",
    "origin_places",
    "place",
    "planned",
    "run",
    "status",
    "stored",
    "trainer",
    "trainings",
    "wait",
]
