"""`lth run`: config -> values -> job. The only door to Hydra; nothing heavy is imported before the config is good."""

from lth.run.conf import CONF
from lth.run.jobs import jobs
from lth.run.main import main

__all__ = ["CONF", "jobs", "main"]
