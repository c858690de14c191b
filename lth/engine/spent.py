"""What a training has spent: wall seconds, seconds of the processor and, where the machine measures it, joules."""

import math
import time

import torch
from torch import Tensor

from lth.meter import METHODS, Meter, meter


class Spent:
    """Adds up what is between `start` and `stop`, also over several processes, by `state` and `load`.

    Without a meter, or if not all of the time was measured by the same method, `joules` is NaN.
    """

    def __init__(self, measured: Meter | None = None) -> None:
        self.meter = measured
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

    @property
    def method(self) -> str | None:
        """How the joules are measured."""
        return None if self.meter is None else self.meter.method

    def state(self) -> Tensor:
        """The three totals up to now and the number of the method, float64."""
        if self.marks is not None:
            self._add()
        return torch.tensor([*self.totals, self._number()], dtype=torch.float64)

    def load(self, state: Tensor) -> None:
        """Go on from the totals of another process; of one that measured energy in another way only from its times."""
        self.totals = state[:3].tolist()
        if state[3:].tolist() != [self._number()]:
            self.totals[2] = math.nan

    def _add(self) -> None:
        assert self.marks is not None
        now = self._now()
        self.totals = [total + b - a for total, a, b in zip(self.totals, self.marks, now, strict=True)]
        self.marks = now

    def _now(self) -> list[float]:
        joules = math.nan if self.meter is None else self.meter.joules_so_far()
        return [time.perf_counter(), time.process_time(), joules]

    def _number(self) -> int:
        return -1 if self.meter is None else METHODS.index(self.meter.method)


def spending(choice: str, device: torch.device) -> Spent:
    """Nothing spent so far on a training on this device, with the meter of that choice (see `lth.meter`)."""
    uuid = getattr(torch.cuda.get_device_properties(device), "uuid", None) if device.type == "cuda" else None
    return Spent(meter(choice, uuid and f"GPU-{uuid}"))
