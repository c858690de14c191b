"""`lth delete`: an experiment's records, and the trainings that no other experiment needs."""

import argparse

from lth import UserError
from lth.cli.console import log_to_console, number_of
from lth.cli.ending import INTERRUPTED
from lth.store import upkeep
from lth.store.names import folder_of


def main(arguments: argparse.Namespace) -> int:
    """Say what would be deleted or, with --yes, delete it; returns the exit code."""
    log_to_console(stderr=True)
    plan = upkeep.deletion(arguments.runs, arguments.name, running=arguments.running)
    kept = f"; {number_of(plan.kept, 'training')} kept for other experiments" if plan.kept else ""
    found = f"{number_of(len(plan.records), 'record')}, {number_of(len(plan.trainings), 'training')}"
    print(f"{arguments.name}: {found}, {megabytes(plan)}{kept}")
    code = carry_out(plan, yes=arguments.yes)
    if arguments.yes and (figures := arguments.runs / "figures" / folder_of(arguments.name)).is_dir():
        print(f"its figures stay in {figures}")
    return code


def carry_out(plan: upkeep.Plan, *, yes: bool) -> int:
    """Delete what a plan names, if it is meant; returns the exit code."""
    if not yes:
        print("nothing was deleted; --yes deletes")
        return 0
    try:
        found = upkeep.carry_out(plan)
    except KeyboardInterrupt:
        raise UserError("stopped; lth gc --yes deletes what is left", code=INTERRUPTED) from None
    records = f"{number_of(found.records, 'record')} and " if found.records else ""
    stay = f"; {found.stay} kept, in use by another process" if found.stay else ""
    print(f"deleted {records}{number_of(found.trainings, 'training')}{stay}")
    return 0


def megabytes(plan: upkeep.Plan) -> str:
    """Size for readers."""
    return f"{plan.size / 1e6:,.1f} MB"
