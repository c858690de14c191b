"""`lth run plan=true`: what a job would train, and what is stored."""

from lth import job as jobs
from lth.cli.console import console
from lth.job import Job
from lth.store import Store


def show(job: Job, store: Store) -> None:
    """Print a line per ticket of the job, and how many are stored; trains nothing."""
    stored = {(t.ticket.branch, t.ticket.draw, t.ticket.level) for t in jobs.stored(job, store)}
    for branch, draw, level in job.tickets():
        task = "to quantize" if branch in job.quantized else f"to train, {job.recipe.steps:,} steps"
        state = "stored" if (branch, draw, level) in stored else task
        console.print(f"{branch:>12}  draw {draw}  level {level:>2}  {state}")
    missing = len(job.tickets()) - len(stored)
    console.print(f"{len(stored)} stored, {missing} to train; nothing was trained (plan=true)")
