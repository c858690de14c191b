"""Batches of a data set that streams: a `DataLoader` whose sampler is the order of (replicate, step)."""

import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from lth import UserError
from lth.augment import OF_FILES
from lth.data import Split, rows, scaler
from lth.data.scaling import HELD
from lth.data.stream import Stream
from lth.engine.ranks import Ranks
from lth.keywords import arguments
from lth.recipe import Recipe

# Steps whose rows are drawn at a time.
AT_ONCE = 100


class Request(NamedTuple):
    """Rows of a batch, of one training step, or of an evaluation (step -1). first: the place of the first row."""

    rows: np.ndarray
    step: int = -1
    first: int = 0


class Streamed:
    """The inputs of a split that streams, on a device: it has those methods of a tensor that a loop calls.

    A training takes its batches in their order, so that the next ones are read while a step is computed; what is read
    is a function of (replicate, step, place in the batch), whoever reads it. training: this is the training set, its
    inputs are not scaled yet. step: gives the step that training is at.
    """

    def __init__(
        self,
        split: Split,
        device: torch.device,
        *,
        training: bool,
        workers: int,
        recipe: Recipe,
        replicate: int,
        step: Callable[[], int],
        ranks: Ranks,
    ) -> None:
        self.device, self.workers, self.step, self.ranks = device, workers, step, ranks
        self.count, self.recipe, self.replicate = len(split), recipe, replicate
        function, settings = arguments(recipe.augment)
        of_file = OF_FILES.get(function) if isinstance(split.source, Stream) and split.source.decodes else None
        self.augmented = of_file is not None and training
        self.reader = _Reader(split, replicate, of_file and partial(of_file, **settings))
        self.scale = (lambda inputs: inputs) if training else scaler(recipe.data, device)
        self.dtype = torch.from_numpy(np.empty(0, _held(split))).dtype
        self.batches: Iterator[Tensor] | None = None

    def index_select(self, dim: int, batch: Tensor) -> Tensor:
        """The inputs of the next step, of which `batch` are the rows."""
        if self.batches is None:
            self.batches = self._read(self._steps(self.step(), len(batch)))
        return next(self.batches)

    def split(self, size: int) -> Iterator[Tensor]:
        """Yield all inputs, `size` at a time."""
        starts = self.ranks.own(range(0, self.count, size))
        return self._read(Request(np.arange(start, min(start + size, self.count))) for start in starts)

    def close(self) -> None:
        """End the processes that read ahead."""
        self.batches = None

    def _steps(self, first: int, size: int) -> Iterator[Request]:
        recipe = self.recipe
        whole = recipe.batch_size == size
        part = slice(0, size) if whole else self.ranks.part(recipe.batch_size)
        for start in range(first, recipe.steps, AT_ONCE):
            stop = min(start + AT_ONCE, recipe.steps)
            order = rows(self.replicate, start, stop, size=self.count, batch_size=recipe.batch_size)
            for step, batch in enumerate(order.numpy(), start):
                yield Request(batch[part], step, part.start)

    def _read(self, requests: Iterable[Request]) -> Iterator[Tensor]:
        loader: DataLoader[Any] = DataLoader(
            self.reader,
            batch_size=None,  # a request is a batch
            sampler=requests,
            num_workers=self.workers,
            collate_fn=_as_it_is,
            pin_memory=self.device.type == "cuda",
            worker_init_fn=_ignore_signals,
            # A launcher may have set a way to start processes that these can't take.
            multiprocessing_context="fork" if self.workers and sys.platform == "linux" else None,
            generator=torch.Generator(),  # or it would draw from that of the training
        )
        for batch in loader:
            if isinstance(batch, UserError):
                raise batch
            yield self.scale(batch.to(self.device, non_blocking=True))


class _Reader(Dataset[Any]):
    """Reads the batch of a request; gives an error of the data set instead of raising it, which would lose its type."""

    def __init__(self, split: Split, replicate: int, of_file: Callable[..., Any] | None) -> None:
        self.source: Any = split.source
        self.rows, self.replicate, self.of_file, self.held = split.rows, replicate, of_file, _held(split)

    def __getitem__(self, request: Request) -> Tensor | UserError:
        chosen = request.rows if self.rows is None else self.rows[request.rows]
        try:
            read = [self._read(int(row), place, request.step) for place, row in enumerate(chosen, request.first)]
        except UserError as error:
            return error
        return torch.from_numpy(np.stack(read).astype(self.held, copy=False))

    def _read(self, row: int, place: int, step: int) -> np.ndarray:
        if not isinstance(self.source, Stream):
            return np.asarray(self.source[row])
        if step < 0:
            value: np.ndarray = self.source[np.array([row])][0]
            return value
        if self.of_file is not None:
            change = partial(self.of_file, place=place, replicate=self.replicate, step=step)
            return self.source.changed(row, change)
        return np.asarray(self.source.read(row, "augment", self.replicate, step, place))


def _held(split: Split) -> Any:
    """A type that PyTorch has, in the byte order of the machine."""
    kind = split.source.dtype
    return HELD.get(kind.name, kind.newbyteorder("="))


def _as_it_is(batch: Any) -> Any:
    return batch


def _ignore_signals(worker: int) -> None:
    """Leave it to the training when the processes that read for it end."""
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    torch.set_num_threads(1)
