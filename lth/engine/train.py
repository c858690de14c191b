"""list[Ticket] -> list[Trained], one after the other or side by side; interrupted trainings are saved and resumed."""

import contextlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from lth.engine.callback import Callback, Interrupted
from lth.engine.devices import check_devices, together
from lth.engine.divergence import NonFiniteLoss
from lth.engine.loop import Loop
from lth.engine.outcome import outcome
from lth.engine.precision import arithmetic, on_processor
from lth.engine.saving import Saving
from lth.engine.side_by_side import Shared, side_by_side
from lth.engine.state import State, state_of
from lth.engine.width import Width, groups, is_stack, on_cpu
from lth.recipe import Recipe
from lth.seed import undisturbed
from lth.ticket import Ticket, Trained, Weights, masked


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
    width: Width = "auto",
    save_every: float | None = None,
    workers: int = 0,
    devices: int = 1,
) -> list[Trained]:
    """Train each ticket from its step k to step T (or only `until`), by the recipe.

    keep: steps at which the weights are kept in passing.
    states: where interrupted trainings left off; resuming from there gives, bit for bit, what an undisturbed training
        gives.
    save: called with a ticket and its state every `save_every` seconds (None: 60), and when the callback asks for it or
        interrupts.
    finished: called with each ticket when it is trained. One that starts at step T is evaluated and not trained.
    device: a Lightning accelerator: "auto", "cpu", "gpu", ...
    meter: of energy, "auto", "codecarbon" or "none".
    width: tickets that are trained side by side, at most; "auto" is 1 except on CUDA. It changes results by no more
        than the rounding of sums.
    workers: processes that read ahead where the data set streams; 0: this one reads.
    devices: processes that train a ticket together, each with a part of every batch.

    A ticket whose loss is not finite goes to `callback.failed`, which raises NonFiniteLoss unless it is overridden; the
    others are trained and given back. Raises Interrupted if the callback does.
    """
    end = recipe.steps if until is None else until
    for ticket in tickets:
        _check_steps(ticket, recipe, end)
    check_devices(recipe, devices, device, width)
    observer, given = Saving(callback or Callback(), save, save_every, end), states or {}
    shared = Shared(recipe, end, keep, observer, device, meter, workers)
    if devices == 1 or not tickets:
        return each(tickets, given, shared, width, finished)
    with together(devices, tickets, given, shared) as ranked:
        return each(tickets, given, ranked, 1, finished)


def each(
    tickets: list[Ticket],
    states: Mapping[Ticket, State],
    shared: Shared,
    width: Width = 1,
    finished: Callable[[Trained], None] | None = None,
) -> list[Trained]:
    """Train the tickets as they are grouped."""
    done, recipe, device = dict[Ticket, Trained](), shared.recipe, shared.device
    with _generators_undisturbed(), on_processor(recipe.threads), arithmetic(recipe.precision, device):
        for group in groups(tickets, recipe, states, device, width):
            run = _train_stack if shared.ranks.count == 1 and is_stack(group, recipe, device) else _train
            for trained in run(group, states, shared):
                done[trained.ticket] = trained
                if finished:
                    finished(trained)
    return [done[ticket] for ticket in tickets if ticket in done]


def _generators_undisturbed() -> contextlib.AbstractContextManager[None]:
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    return undisturbed(*devices)


def _train_stack(tickets: list[Ticket], states: Mapping[Ticket, State], shared: Shared) -> list[Trained]:
    at = partial(_weights_at, shared=shared)
    return side_by_side(tickets, states, shared, at)


def _train(tickets: list[Ticket], states: Mapping[Ticket, State], shared: Shared) -> list[Trained]:
    from lth.engine.shell import Shell, blocks  # and Lightning: what is stored is read without it
    from lth.engine.trainer import fit

    (ticket,) = tickets
    recipe, until, observer, device = shared.recipe, shared.until, shared.observer, shared.device
    keep, cpu = {*shared.keep, until}, on_cpu(device)
    ranks, state = shared.ranks, states.get(ticket)
    loop = Loop(ticket, recipe, keep, observer, shared.meter, cpu=cpu, ranks=ranks)
    observer.states = lambda: [(ticket, state_of(loop))]
    number = 0 if cpu else ranks.rank
    try:
        fit(Shell(loop, state, shared.workers), blocks(loop, until, state), device, number=number)
    except Interrupted:
        observer.save_now()
        raise
    except NonFiniteLoss as error:
        observer.failed(ticket, error)
        return []
    finally:
        loop.close()
    trained = outcome(
        ticket,
        recipe,
        until,
        _weights_at(ticket, loop.kept, shared),
        curve=loop.curve,
        kept=loop.kept,
        masking=loop.masking,
        usage=loop.usage,
        device=loop.device,
        kernel=loop.kernel,
        metric=loop.train_metric,
    )
    if ranks.count > 1:
        of_all = {"cpu_seconds": ranks.total(loop.usage.cpu_seconds)[0], "devices": ranks.count}
        # A meter reads one GPU, that of its process.
        one = () if cpu else ("energy_kwh", "energy_method")
        known = {name: fact for name, fact in trained.facts.items() if name not in one}
        trained = replace(trained, facts={**known, **of_all})
    return [trained]


def _check_steps(ticket: Ticket, recipe: Recipe, until: int) -> None:
    if not (ticket.step < until <= recipe.steps or ticket.step == until == recipe.steps):
        raise ValueError(f"{ticket} starts at step {ticket.step}, training ends at step {until} of {recipe.steps}")


def _weights_at(ticket: Ticket, kept: Mapping[int, Weights], shared: Shared) -> Callable[[int], Weights]:
    def at(step: int) -> Weights:
        if step == ticket.step:
            return masked(ticket.weights, ticket.mask)
        if step in kept:
            return masked(kept[step], {})
        again: Any = {"device": shared.device, "devices": shared.ranks.count, "workers": shared.workers}
        return train([ticket], recipe=shared.recipe, until=step, **again)[0].at(step)

    return at
