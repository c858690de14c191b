"""Lightning around one training.

A Lightning "batch" is a block: the rows of all steps up to the next evaluation. `training_step` runs them in a plain
loop under manual optimization, so that Lightning's own work is paid once a block.
"""

import logging
import os
import time
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import lru_cache, partial
from typing import Any

import pandas as pd
import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments import LightningEnvironment  # type: ignore[attr-defined]
from lightning_fabric.utilities.exceptions import MisconfigurationException
from torch import Tensor

from lth.data import Data, rows
from lth.engine.callback import Callback, Interrupted
from lth.engine.loop import COLUMNS, Examples, Loop, NonFiniteLoss, State, splits_on
from lth.engine.usage import ledger
from lth.recipe import Recipe
from lth.ticket import Ticket, Trained, Weights, masked

SAVE_EVERY = 60.0
# Lightning sets "1" when it is imported; then every optimizer step searches the disk for NVIDIA's library where there
# is none: 0.2 ms, a seventh of a step of LeNet. "0" is PyTorch's own default.
os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "0"


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
    with torch.random.fork_rng(devices=[]):
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
        fit(_Shell(loop, state), _Blocks(loop, until, state), device)
    except Interrupted:
        observer.save_now()
        raise
    facts = {**ledger(loop), "kept": sorted(loop.kept), "final_train_accuracy": loop.train_accuracy}
    evaluations = pd.DataFrame(loop.curve, columns=list(COLUMNS)).astype({"step": "int64"})
    mask = {name: m.cpu() for name, m in loop.mask.items()} if loop.updater else ticket.mask
    return Trained(ticket, evaluations, _weights_at(ticket, recipe, loop.kept, device), until, mask, facts)


def _weights_at(ticket: Ticket, recipe: Recipe, kept: Mapping[int, Weights], device: str) -> Callable[[int], Weights]:
    def at(step: int) -> Weights:
        if step == ticket.step:
            return masked(ticket.weights, ticket.mask)
        if step in kept:
            return kept[step]
        return train([ticket], recipe=recipe, until=step, device=device)[0].at(step)

    return at


class _Shell(pl.LightningModule):
    """Gives the loop its device, its optimizer and its blocks."""

    def __init__(self, loop: Loop, state: State | None) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.net, self.loop, self.state = loop.net, loop, state

    def configure_optimizers(self) -> torch.optim.Optimizer:
        self.optimizer = self.loop.recipe.optimizer(self.net.parameters())
        return self.optimizer

    def on_fit_start(self) -> None:
        self.loop.start(self.optimizer, _splits(self.loop.recipe.data, self.device), self.state)

    def training_step(self, block: Tensor) -> None:
        self.loop.run(block)

    def on_train_end(self) -> None:
        if self.loop.step == self.loop.recipe.steps:
            self.loop.train_accuracy = self.loop.score("train")[1]


class _Blocks:
    """The rows of the steps from the loop's to `until`, cut at every evaluation; an empty block evaluates."""

    def __init__(self, loop: Loop, until: int, state: State | None) -> None:
        self.loop, self.until = loop, until
        self.first = loop.ticket.step if state is None else int(state["step"])

    def __iter__(self) -> Iterator[Tensor]:
        recipe, replicate = self.loop.recipe, self.loop.ticket.replicate
        every = recipe.evaluate_every
        ends = [*range((self.first // every + 1) * every, self.until, every), self.until]
        for start, stop in zip([self.first, self.first, *ends], [self.first, *ends], strict=False):
            yield rows(replicate, start, stop, size=len(recipe.data.train), batch_size=recipe.batch_size)


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
            self.save(self.loop.ticket, self.loop.state())
        self.last = time.monotonic()


@lru_cache(maxsize=1)
def _splits(data: Data, device: torch.device) -> dict[str, Examples]:
    return splits_on(data, device)


def fit(module: pl.LightningModule, batches: Any, device: str, *, max_epochs: int = 1, max_steps: int = -1) -> None:
    """Lightning's `fit` with training only: no logger, checkpoint, progress bar or handler of Slurm's signals."""
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"(pytorch_lightning|lightning_fabric|torch)\b")
        try:
            trainer = _trainer(device, max_epochs, max_steps)
        except MisconfigurationException as error:
            raise ValueError(f"device={device}: {error} device=cpu is always there") from error
        trainer.fit(module, batches)


def _trainer(device: str, max_epochs: int, max_steps: int) -> pl.Trainer:
    return pl.Trainer(
        accelerator=device,
        devices=1,
        max_epochs=max_epochs,
        max_steps=max_steps,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        # Slurm's signals are for the launcher; Lightning would requeue the job behind its back.
        plugins=[LightningEnvironment()],
    )
