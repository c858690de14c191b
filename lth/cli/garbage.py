"""`lth gc`: stored trainings that no experiment needs, and jobs that failed before they trained anything."""

import argparse

from lth import UserError
from lth.cli.console import log_to_console, number_of
from lth.cli.delete import carry_out, megabytes
from lth.store import upkeep
from lth.store.record import no_results


def main(arguments: argparse.Namespace) -> int:
    """Say what would be deleted or, with --yes, delete it; returns the exit code."""
    log_to_console(stderr=True)
    if not arguments.runs.is_dir():
        raise UserError(no_results(arguments.runs), code=1)
    plan = upkeep.garbage(arguments.runs, partial=arguments.partial)
    for path in (*plan.failed, *plan.trainings):
        print(path)
    failed = f"{number_of(len(plan.failed), 'failed job')} without a training, " if plan.failed else ""
    print(f"{failed}{number_of(len(plan.trainings), 'training')} without an experiment, {megabytes(plan)}")
    if plan.partial and not arguments.partial:
        interrupted = number_of(plan.partial, "interrupted training")
        print(f"{interrupted} kept, to be continued; --partial deletes such trainings too")
    if not (plan.failed or plan.trainings):
        return 0
    return carry_out(plan, yes=arguments.yes)
