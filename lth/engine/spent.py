"""What a training has spent: wall seconds, seconds of the processor and, where the machine measures it, joules."""

import time
from collections.abc import Callable

import torch
from torch import Tensor


class Spent:
    """Adds up what is between `start` and `stop`, also over several processes, by `state` and `load`.

    joules_so_far: a meter that only rises, or None; without one `joules` is NaN.
    """

    def __init__(self, joules_so_far: Callable[[], float] | None = None) -> None:
        self.joules_so_far = joules_so_far
        self.totals = [0.0, 0.0, 0.0]
        self.marks: list[float] | None = None

    def start(self) -> None:
        """From here on time counts."""
        self.marks = self._now()

    def stop(self) -> None:
        """Up to here."""
        self._add()
        self.marks = None

    @property
    def seconds(self) -> float:
        """Wall seconds."""
        return self.totals[0]

    @property
    def cpu_seconds(self) -> float:
        """Seconds of the processor, of all threads of the process."""
        return self.totals[1]

    @property
    def joules(self) -> float:
        """Joules of the whole device, NaN where nothing measures them all the time."""
        return self.totals[2]

    def state(self) -> Tensor:
        """The three totals up to now, float64."""
        if self.marks is not None:
            self._add()
        return torch.tensor(self.totals, dtype=torch.float64)

    def load(self, state: Tensor) -> None:
        """Go on from the totals of another process."""
        self.totals = state.tolist()

    def _add(self) -> None:
        assert self.marks is not None
        now = self._now()
        self.totals = [total + b - a for total, a, b in zip(self.totals, self.marks, now, strict=True)]
        self.marks = now

    def _now(self) -> list[float]:
        joules = float("nan") if self.joules_so_far is None else self.joules_so_far()
        return [time.perf_counter(), time.process_time(), joules]
