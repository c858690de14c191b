"""What a training has spent: wall seconds, seconds of the processor and, where the machine measures it, joules."""

import math
import time
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lth.engine.macs import macs
from lth.engine.meter import METHODS, Meter, meter

if TYPE_CHECKING:
    from lth.engine.loop import Loop


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
    """Nothing spent so far on a training on this device, with the meter of that choice (see `lth.engine.meter`)."""
    uuid = getattr(torch.cuda.get_device_properties(device), "uuid", None) if device.type == "cuda" else None
    return Spent(meter(choice, uuid and f"GPU-{uuid}"))


def ledger(loop: "Loop") -> dict[str, Any]:
    """seconds (wall) and cpu_seconds of steps and evaluations; device; samples trained on and images evaluated; macs
    and macs_remaining: multiply-accumulates of prunable layers, all and those of weights that are kept, three times a
    forward pass for each sample (the backward pass takes two: Amodei & Hernandez 2018), once for each image evaluated;
    energy_kwh, of the whole device and without the overhead of its building, and energy_method where a meter ran.
    """
    recipe, mask = loop.recipe, loop.ticket.mask
    samples = (loop.step - loop.ticket.step) * recipe.batch_size
    evaluated = len(loop.curve) * (len(recipe.data.validation) + len(recipe.data.test))
    forward = 3 * samples + evaluated
    measured = {} if math.isnan(loop.spent.joules) else {
        "energy_kwh": loop.spent.joules / 3.6e6, "energy_method": loop.spent.method
    }  # fmt: skip
    return {
        "seconds": loop.spent.seconds,
        "cpu_seconds": loop.spent.cpu_seconds,
        "device": str(loop.device),
        "samples": samples,
        "evaluated": evaluated,
        "macs": forward * macs(loop.net, recipe.data.shape),
        "macs_remaining": forward * macs(loop.net, recipe.data.shape, mask),
        **measured,
    }
