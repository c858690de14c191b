"""list[Ticket] -> list[Trained], one after the other; interrupted trainings are saved and resumed."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import pandas as pd
import torch

from lth.engine.callback import Callback, Interrupted
from lth.engine.loop import Loop, NonFiniteLoss
from lth.engine.shell import Blocks, Shell, fit
from lth.engine.state import State, state_of
from lth.engine.usage import ledger
from lth.recipe import Recipe
from lth.ticket import Ticket, Trained, Weights, masked

SAVE_EVERY = 60.0


def train(
    tickets: list[Ticket],
    *,
    recipe: Recipe,
    until: int | None = None,
    keep: Collection[int] = (),
    states: Mapping[Ticket, State] | None = None,
    save: Callable[[Ticket, State], None] | None = None,
    finished: Callable[[Trained], None] | None = None,
    callback: Callback | None = None,
    device: str = "auto",
    meter: str = "auto",
) -> list[Trained]:
    """Train each ticket from its step k to step T (or only `until`), by the recipe.

    keep: steps at which the weights are kept in passing. states: where interrupted trainings left off; resuming from
    there gives, bit for bit, what an undisturbed training gives. save: called with a ticket and its state every minute
    and when the callback interrupts. finished: called with each trained ticket as soon as it is one. A ticket that
    starts at step T is evaluated and not trained. device: a Lightning accelerator: "auto", "cpu", "gpu", ... meter: of
    energy, "auto", "codecarbon" or "none".

    A ticket whose loss is not finite goes to `callback.failed`, which raises NonFiniteLoss unless it is overridden; the
    others are trained and given back. Raises Interrupted if the callback does.
    """
    observer, end = _Saving(callback or Callback(), save), recipe.steps if until is None else until
    run = partial(_train, recipe=recipe, until=end, keep=keep, observer=observer, device=device, meter=meter)
    done = []
    with torch.random.fork_rng(devices=[]), _threads(recipe.threads):
        for ticket in tickets:
            try:
                trained = run(ticket, state=(states or {}).get(ticket))
            except NonFiniteLoss as error:
                observer.failed(ticket, error)
                continue
            done.append(trained)
            if finished:
                finished(trained)
    return done


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Compute with so many threads on a CPU, whatever the process does otherwise."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _train(
    ticket: Ticket,
    *,
    recipe: Recipe,
    until: int,
    keep: Collection[int],
    state: State | None,
    observer: "_Saving",
    device: str,
    meter: str,
) -> Trained:
    if not (ticket.step < until <= recipe.steps or ticket.step == until == recipe.steps):
        raise ValueError(f"{ticket} starts at step {ticket.step}, training ends at step {until} of {recipe.steps}")
    torch.set_flush_denormal(True)  # the moments of pruned weights decay into subnormal numbers, slow on a CPU
    observer.loop = loop = Loop(ticket, recipe, {*keep, until}, observer, meter)
    try:
        fit(Shell(loop, state), Blocks(loop, until, state), device)
    except Interrupted:
        observer.save_now()
        raise
    facts = {**_ledger(loop), "kept": sorted(loop.kept), f"final_train_{recipe.task.metric}": loop.train_metric}
    evaluations = pd.DataFrame(loop.curve, columns=list(recipe.task.columns)).astype({"step": "int64"})
    mask = {name: m.cpu() for name, m in loop.masking.mask.items()} if recipe.moves_mask else ticket.mask
    return Trained(ticket, evaluations, _weights_at(ticket, recipe, loop.kept, device), until, mask, facts)


def _ledger(loop: Loop) -> dict[str, Any]:
    data, samples = loop.recipe.data, (loop.step - loop.ticket.step) * loop.recipe.batch_size
    evaluated = len(loop.curve) * (len(data.validation) + len(data.test))
    loop.masking.count(loop.step)
    return ledger(loop.usage, loop.masking, device=loop.device, samples=samples, evaluated=evaluated)


def _weights_at(ticket: Ticket, recipe: Recipe, kept: Mapping[int, Weights], device: str) -> Callable[[int], Weights]:
    def at(step: int) -> Weights:
        if step == ticket.step:
            return masked(ticket.weights, ticket.mask)
        if step in kept:
            return kept[step]
        return train([ticket], recipe=recipe, until=step, device=device)[0].at(step)

    return at


class _Saving(Callback):
    """Forward every call, and save the state of the loop every minute."""

    loop: Loop

    def __init__(self, callback: Callback, save: Callable[[Ticket, State], None] | None) -> None:
        self.callback, self.save, self.last = callback, save, time.monotonic()

    def stepped(self, ticket: Ticket, step: int, steps: int) -> None:
        self.callback.stepped(ticket, step, steps)
        if self.save and time.monotonic() - self.last > SAVE_EVERY:
            self.save_now()

    def evaluated(self, ticket: Ticket, row: Mapping[str, float]) -> None:
        self.callback.evaluated(ticket, row)

    def failed(self, ticket: Ticket, error: ArithmeticError) -> None:
        self.callback.failed(ticket, error)

    def save_now(self) -> None:
        if self.save:
            self.save(self.loop.ticket, state_of(self.loop))
        self.last = time.monotonic()
