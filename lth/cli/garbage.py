"""`lth gc`: stored trainings that no experiment needs."""

import argparse

from lth.cli.console import log_to_console
from lth.cli.delete import carry_out, megabytes
from lth.store import upkeep


def main(arguments: argparse.Namespace) -> int:
    """Say what would be deleted or, with --yes, delete it; returns the exit code."""
    log_to_console(stderr=True)
    plan = upkeep.garbage(arguments.runs, partial=arguments.partial)
    for folder in plan.trainings:
        print(folder)
    print(f"{len(plan.trainings)} trainings that no experiment names, {megabytes(plan)}")
    if plan.partial and not arguments.partial:
        print(f"{plan.partial} interrupted trainings are kept, so that they can go on; --partial deletes them too")
    return carry_out(plan, yes=arguments.yes)
