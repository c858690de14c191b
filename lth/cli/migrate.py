"""`lth migrate`: trainings of version 0.1 under the names of this version."""

import argparse

from lth import UserError
from lth.cli import config
from lth.cli.console import log_to_console, number_of
from lth.job import migrate
from lth.store import Store


def main(arguments: argparse.Namespace) -> int:
    """Rename the stored trainings of the jobs that the overrides stand for; returns the exit code."""
    log_to_console(stderr=True)
    jobs = config.jobs(arguments.overrides, arguments.config_dir)
    if not (found := sum(len(migrate(job, Store(root))) for job, root in jobs)):
        raise UserError("nothing of these jobs is stored, by this version or by 0.1", code=1)
    print(f"stored under the names of this version: {number_of(found, 'training')}")
    return 0
