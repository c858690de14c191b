"""`lth run`: config -> values -> job. The only door to Hydra; nothing heavy is imported before the config is good."""

from lth.cli.config.conf import CONF
from lth.cli.config.jobs import jobs
from lth.cli.config.literal import quoted
from lth.cli.config.main import main

__all__ = ["CONF", "jobs", "main", "quoted"]
