"""Training of a list of tickets as one stack; see `train.py`."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from lth.engine.callback import Interrupted
from lth.engine.outcome import outcome
from lth.engine.ranks import ALONE, Ranks
from lth.engine.saving import Saving
from lth.engine.stack import Diverged, Stack
from lth.engine.stack_state import states_of, usage_of
from lth.engine.state import State
from lth.engine.width import on_cuda, passes
from lth.recipe import Recipe
from lth.ticket import Ticket, Trained, Weights

At = Callable[[Ticket, Mapping[int, Weights]], Callable[[int], Weights]]


@dataclass(frozen=True)
class Shared:
    """Settings of all trainings of one call of `train`."""

    recipe: Recipe
    until: int
    keep: Collection[int]
    observer: Saving
    device: str
    meter: str
    workers: int = 0
    ranks: Ranks = ALONE


def side_by_side(tickets: list[Ticket], states: Mapping[Ticket, State], shared: Shared, at: At) -> list[Trained]:
    """Train tickets that are at the same step as one stack. One that diverges goes to `observer.failed`; the others go
    on from where they are as a smaller stack. at: (ticket, kept weights) -> the function `Trained.at`.
    """
    from lth.engine.shell import Shell, ranges  # and Lightning: what is stored is read without it
    from lth.engine.trainer import fit

    recipe, until, observer = shared.recipe, shared.until, shared.observer
    keep = {*shared.keep, until}
    while tickets:
        way = passes(recipe, len(tickets), cuda=on_cuda(shared.device))
        stack = Stack(tickets, recipe, way, keep=keep, callback=observer, states=states, meter=shared.meter)
        observer.states = partial(states_of, stack)
        try:
            fit(Shell(stack, None), ranges(stack, until), shared.device)
        except Interrupted:
            observer.save_now()
            raise
        except Diverged as diverged:
            states = {ticket: state for ticket, state in states_of(stack) if ticket not in diverged.errors}
            tickets = [*states]
            for ticket, error in diverged.errors.items():
                observer.failed(ticket, error)
            continue
        return [*_trained(stack, until, at)]
    return []


def _trained(stack: Stack, until: int, at: At) -> Iterator[Trained]:
    usages, metrics = [usage_of(stack, number) for number in range(len(stack.tickets))], stack.train_metric
    for number, (ticket, usage) in enumerate(zip(stack.tickets, usages, strict=True)):
        yield outcome(
            ticket,
            stack.recipe,
            until,
            at(ticket, stack.kept[number]),
            curve=stack.curves[number],
            kept=stack.kept[number],
            masking=stack.masking.of[number],
            usage=usage,
            device=stack.device,
            kernel="dense",
            metric=metrics[number] if metrics else None,
        )
