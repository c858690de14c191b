"""Lightning around one training.

A Lightning "batch" is a block: the rows of all steps up to the next evaluation. `training_step` runs them in a plain
loop under manual optimization, so that Lightning's own work is paid once a block.
"""

import contextlib
import logging
import signal
import threading
import warnings
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from lth import UserError
from lth.data import Data, rows
from lth.engine import stack_state
from lth.engine.lightning import LightningEnvironment, MisconfigurationException, pl
from lth.engine.loop import Loop
from lth.engine.splits import Examples, splits_on, streamed_on
from lth.engine.stack import Stack
from lth.engine.state import State, load


class Shell(pl.LightningModule):
    """Gives the loop its device, its optimizer and its blocks."""

    def __init__(self, loop: Loop | Stack, state: State | None, workers: int = 0) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.net, self.loop, self.state, self.workers = loop.net, loop, state, workers

    def configure_optimizers(self) -> torch.optim.Optimizer:
        self.optimizer = self.loop.recipe.optimizer(self.net.parameters())
        return self.optimizer

    def on_fit_start(self) -> None:
        self.loop.start(self.optimizer, self._splits())
        if isinstance(self.loop, Stack):
            stack_state.load(self.loop)
        elif self.state is not None:
            load(self.loop, self.state)

    def _splits(self) -> dict[str, Examples]:
        data = self.loop.recipe.data
        if data.streams and isinstance(self.loop, Loop):
            return streamed_on(self.loop, self.device, self.workers)
        return _splits(data, self.device)

    def training_step(self, block: Any) -> None:
        self.loop.run(block)

    def on_train_end(self) -> None:
        if self.loop.step == self.loop.recipe.steps:
            self.loop.train_metric = self.loop.score("train")[1]


class Blocks:
    """The rows of the steps from the loop's to `until`, cut at every evaluation; an empty block evaluates."""

    def __init__(self, loop: Loop, until: int, state: State | None) -> None:
        self.loop, self.until = loop, until
        self.first = loop.ticket.step if state is None else int(state["step"])

    def __iter__(self) -> Iterator[Tensor]:
        recipe, noise = self.loop.recipe, self.loop.ticket.noise
        for start, stop in _ranges(self.first, self.until, recipe.evaluate_every):
            yield rows(noise, start, stop, size=len(recipe.data.train), batch_size=recipe.batch_size)


class Ranges:
    """Blocks of a stack, as their first step and the one after their last."""

    def __init__(self, stack: Stack, until: int) -> None:
        self.stack, self.until = stack, until

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return _ranges(self.stack.step, self.until, self.stack.recipe.evaluate_every)


def _ranges(first: int, until: int, every: int) -> Iterator[tuple[int, int]]:
    ends = [*range((first // every + 1) * every, until, every), until]
    return zip([first, first, *ends], [first, *ends], strict=False)


@lru_cache(maxsize=1)
def _splits(data: Data, device: torch.device) -> dict[str, Examples]:
    return splits_on(data, device)


class OwnSignals(pl.Callback):
    """Keeps the handler of SIGTERM that is there. Lightning's own would end the training, wherever it is in a block;
    so SIGTERM waits while Lightning sets it, and finds the one that was there.
    """

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.mask(signal.SIG_BLOCK)
        self.handler = signal.getsignal(signal.SIGTERM)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if _in_main_thread():
            signal.signal(signal.SIGTERM, signal.SIG_DFL if self.handler is None else self.handler)
        self.mask(signal.SIG_UNBLOCK)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self.mask(signal.SIG_UNBLOCK)

    def mask(self, how: int) -> None:
        """Block or unblock SIGTERM, where signals can be blocked."""
        if _in_main_thread() and hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(how, {signal.SIGTERM})


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def fit(
    module: pl.LightningModule, batches: Any, device: str, *, max_epochs: int = 1, max_steps: int = -1, number: int = 0
) -> None:
    """Lightning's `fit` with training only: no logger, checkpoint, progress bar or handlers of signals. number: of the
    device, if it is a GPU.
    """
    with _quiet():
        try:
            _checked_trainer(device, max_epochs, max_steps, number).fit(module, batches)
        except SystemExit as error:
            if isinstance(error.__context__, KeyboardInterrupt):  # Lightning exits in its place
                raise KeyboardInterrupt from None
            raise


def check_device(device: str) -> None:
    """Raise UserError if this machine has no such device."""
    with _quiet():
        _checked_trainer(device, 1, -1, 0)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"(pytorch_lightning|lightning_fabric|torch)\b")
        yield


def _checked_trainer(device: str, max_epochs: int, max_steps: int, number: int) -> pl.Trainer:
    try:
        return _trainer(device, max_epochs, max_steps, number)
    except (MisconfigurationException, ValueError) as error:
        raise UserError(f"device={device}: {error} device=cpu always works") from error


def _trainer(device: str, max_epochs: int, max_steps: int, number: int) -> pl.Trainer:
    return pl.Trainer(
        accelerator=device,
        devices=[number] if number else 1,
        max_epochs=max_epochs,
        max_steps=max_steps,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[OwnSignals()],
        # Slurm's signals are for the launcher; Lightning would requeue the job behind its back.
        plugins=[LightningEnvironment()],
    )
