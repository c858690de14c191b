"""Lightning's trainer, without what the loop and the command do themselves."""

import contextlib
import logging
import signal
import threading
import warnings
from collections.abc import Iterator
from typing import Any

from lth import UserError
from lth.engine.lightning import LightningEnvironment, MisconfigurationException, pl


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
        """Block or unblock SIGTERM."""
        if _in_main_thread():
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
            _trainer(device, max_epochs, max_steps, number).fit(module, batches)
        except SystemExit as error:
            if isinstance(error.__context__, KeyboardInterrupt):  # Lightning exits in its place
                raise KeyboardInterrupt from None
            raise


def check_device(device: str) -> None:
    """Raise UserError if this machine has no such device."""
    with _quiet():
        _trainer(device, 1, -1, 0)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"(pytorch_lightning|lightning_fabric|torch)\b")
        yield


def _trainer(device: str, max_epochs: int, max_steps: int, number: int) -> pl.Trainer:
    """Raises UserError if this machine has no such device."""
    try:
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
    except (MisconfigurationException, ValueError) as error:
        why = str(error).rstrip("!. ")
        raise UserError(f"device={device} can't be used here ({why}): device=cpu always works") from error
