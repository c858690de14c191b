"""Usage of a training: wall seconds, CPU seconds, multiply-accumulates and, where the machine measures it, joules."""

import math
import time
from typing import Any

import torch
from torch import Tensor

from lth.engine.masking import Masking
from lth.engine.meter import METHODS, Meter, meter


class Usage:
    """Sums over the intervals between `start` and `stop`, and over processes by `state` and `load`.

    `joules` is NaN without a meter, or unless all of the time was measured by the same method.
    """

    def __init__(self, measured: Meter | None = None) -> None:
        self.meter = measured
        self.totals = [0.0, 0.0, 0.0]
        self.marks: list[float] | None = None

    def start(self) -> None:
        """Start the clock."""
        self.marks = self._now()

    def stop(self) -> None:
        """Stop the clock and add the elapsed interval."""
        self._add()
        self.marks = None

    @property
    def seconds(self) -> float:
        """Wall seconds."""
        return self.totals[0]

    @property
    def cpu_seconds(self) -> float:
        """CPU seconds of all threads of the process."""
        return self.totals[1]

    @property
    def joules(self) -> float:
        """Joules of the whole device; NaN unless all of the time was measured."""
        return self.totals[2]

    @property
    def method(self) -> str | None:
        """The method that measures the joules."""
        return None if self.meter is None else self.meter.method

    def state(self) -> Tensor:
        """The three totals so far and the number of the method, float64."""
        if self.marks is not None:
            self._add()
        return torch.tensor([*self.totals, self._number()], dtype=torch.float64)

    def load(self, state: Tensor) -> None:
        """Resume from the totals of another process; joules are NaN if it measured them by another method."""
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


def usage_on(device: torch.device, choice: str) -> Usage:
    """A zeroed usage counter for this device and meter (see `lth.engine.meter`)."""
    uuid = getattr(torch.cuda.get_device_properties(device), "uuid", None) if device.type == "cuda" else None
    return Usage(meter(choice, uuid and f"GPU-{uuid}"))


def ledger(usage: Usage, masking: Masking, *, device: torch.device, samples: int, evaluated: int) -> dict[str, Any]:
    """Usage columns of a result: seconds (wall) and cpu_seconds of steps and evaluations; device; samples trained on
    and images evaluated, the training set at the end among them; macs and macs_remaining: multiply-accumulates of the
    net, by all and by kept weights (values that are frozen where weights are pruned do not count), three forward passes
    for each sample (the backward pass takes two: Amodei & Hernandez 2018), one for each image evaluated, and under RigL
    a dense gradient for each update; with a meter, energy_method and energy_kwh (whole device, without the overhead of
    the building, PUE).
    """
    sizes = {name: m.numel() for name, m in masking.mask.items()}
    measured = {} if math.isnan(usage.joules) else {
        "energy_kwh": usage.joules / 3.6e6, "energy_method": usage.method
    }  # fmt: skip
    return {
        "seconds": usage.seconds,
        "cpu_seconds": usage.cpu_seconds,
        "device": str(device),
        "samples": samples,
        "evaluated": evaluated,
        "macs": _storable((3 * samples + evaluated) * masking.cost.macs(sizes)),
        "macs_remaining": _storable(masking.macs),
        **measured,
    }


def _storable(count: int) -> int | float:
    """The count, in the type of a column of a table: int64 if it holds it."""
    return count if count < 2**63 else float(count)
