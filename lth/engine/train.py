"""Lightning around one training.

A Lightning "batch" is a block: the rows of all steps up to the next evaluation. `training_step` runs them in a plain
loop under manual optimization, so that Lightning's own work is paid once a block.
"""

import logging
import os
import time
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import lru_cache
from typing import Any

import pandas as pd
import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments import LightningEnvironment  # type: ignore[attr-defined]
from lightning_fabric.utilities.exceptions import MisconfigurationException
from torch import Tensor

from lth.data import Data, rows
from lth.engine.callback import Callback, Interrupted
from lth.engine.loop import COLUMNS, Examples, Loop, State, splits_on
from lth.engine.usage import ledger
from lth.recipe import Recipe
from lth.ticket import Ticket, Trained, Weights, masked

SAVE_EVERY = 60.0
# Lightning says "1" here when it is imported, whereupon every step of an optimizer searches the disk for NVIDIA's
# library where there is none: 0.2 ms, a seventh of a step of LeNet. "0" is PyTorch's own default.
os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "0"


def train(
    tickets: list[Ticket],
    *,
    recipe: Recipe,
    until: int | None = None,
    keep: Collection[int] = (),
    state: State | None = None,
    save: Callable[[State], None] | None = None,
    callback: Callback | None = None,
    device: str = "auto",
    meter: str = "auto",
) -> list[Trained]:
    """Train each ticket from its step k to step T (or only `until`), by the recipe.

    keep: steps at which the weights are kept in passing. state: where an interrupted training of a single ticket left
    off; going on from there gives, bit for bit, what an undisturbed training gives. A ticket that starts at step T is
    evaluated and not trained. save: called with the state every
    minute and when the callback interrupts. device: a Lightning accelerator: "auto", "cpu", "gpu", ... meter: what
    measures the energy, "auto", "codecarbon" or "none".
    Raises NonFiniteLoss, and Interrupted if the callback does.
    """
    if state is not None and len(tickets) != 1:
        raise ValueError(f"one state belongs to one ticket, not to {len(tickets)}")
    hear, end = _Saving(callback or Callback(), save), recipe.steps if until is None else until
    with torch.random.fork_rng(devices=[]):
        return [_train(ticket, recipe, end, keep, state, hear, device, meter) for ticket in tickets]


def _train(
    ticket: Ticket,
    recipe: Recipe,
    until: int,
    keep: Collection[int],
    state: State | None,
    hear: "_Saving",
    device: str,
    meter: str,
) -> Trained:
    if not (ticket.step < until <= recipe.steps or ticket.step == until == recipe.steps):
        raise ValueError(f"{ticket} starts at step {ticket.step}, training ends at step {until} of {recipe.steps}")
    torch.set_flush_denormal(True)  # the moments of pruned weights decay into subnormal numbers, slow on a CPU
    hear.loop = loop = Loop(ticket, recipe, {*keep, until}, hear, meter)
    try:
        fit(_Shell(loop, state), _Blocks(loop, until, state), device)
    except Interrupted:
        hear.save_now()
        raise
    facts = {**ledger(loop), "kept": sorted(loop.kept), "final_train_accuracy": loop.train_accuracy}
    evaluations = pd.DataFrame(loop.curve, columns=list(COLUMNS)).astype({"step": "int64"})
    return Trained(ticket, evaluations, _weights_at(ticket, recipe, loop.kept, device), until, facts)


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
    """The rows of the steps from where the loop is to `until`, cut at every evaluation; an empty block evaluates."""

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
    """Passes everything on, and saves the state of the loop every minute."""

    loop: Loop

    def __init__(self, callback: Callback, save: Callable[[State], None] | None) -> None:
        self.callback, self.save, self.last = callback, save, time.monotonic()

    def stepped(self, ticket: Ticket, step: int, steps: int) -> None:
        self.callback.stepped(ticket, step, steps)
        if self.save and time.monotonic() - self.last > SAVE_EVERY:
            self.save_now()

    def evaluated(self, ticket: Ticket, row: Mapping[str, float]) -> None:
        self.callback.evaluated(ticket, row)

    def save_now(self) -> None:
        if self.save:
            self.save(self.loop.state())
        self.last = time.monotonic()


@lru_cache(maxsize=1)
def _splits(data: Data, device: torch.device) -> dict[str, Examples]:
    return splits_on(data, device)


def fit(module: pl.LightningModule, batches: Any, device: str, *, max_epochs: int = 1, max_steps: int = -1) -> None:
    """Lightning's `fit` that only trains: no logger, no checkpoint, no progress bar, no signal of Slurm's caught."""
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
