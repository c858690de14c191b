"""Joules from meters that run all the time: RAPL (processor and memory), NVML (an NVIDIA GPU); or modelled, codecarbon.

A meter measures a device, not a process: what runs beside a training on the same package or GPU is in its joules too,
and trainings beside each other each count all of it.
"""

import atexit
import importlib
import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, get_args

POWERCAP = Path("/sys/class/powercap")
Choice = Literal["auto", "codecarbon", "none"]
MODELLED = "codecarbon (modelled)"
METHODS = ("rapl", "nvml", "rapl+nvml", MODELLED)


@dataclass(frozen=True)
class Meter:
    """joules_so_far only rises; it is NaN from the first reading that fails, for no meter may stop a training. `method`
    is one of METHODS.
    """

    method: str
    joules_so_far: Callable[[], float]


def meter(choice: str = "auto", gpu: str | None = None, powercap: Path = POWERCAP) -> Meter | None:
    """auto: what measures here, RAPL and, with the UUID of the GPU that trains, NVML; None if nothing does. Raises
    ValueError if what was asked for by name is not there.
    """
    if choice not in get_args(Choice):
        raise ValueError(f"meter={choice}: choose one of {', '.join(get_args(Choice))}")
    if choice == "codecarbon":
        return codecarbon()
    measured = [rapl(powercap), None if gpu is None else nvml(gpu)] if choice == "auto" else []
    found = [each for each in measured if each is not None]
    if not found:
        return None
    return Meter("+".join(m.method for m in found), lambda: sum(m.joules_so_far() for m in found))


def rapl(powercap: Path = POWERCAP) -> Meter | None:
    """Intel's and AMD's counters, in microjoules: of every processor package, and of memory where it has one of its own
    (Linux, Documentation/power/powercap). None where there are none, or where only root may read them.
    """
    try:
        zones = [_Zone(folder) for folder in sorted(powercap.glob("intel-rapl:*")) if _counted(folder)]
    except (OSError, ValueError):
        return None
    return Meter("rapl", lambda: sum(zone() for zone in zones)) if zones else None


def nvml(gpu: str) -> Meter | None:
    """The millijoules of a GPU since its driver was loaded (nvmlDeviceGetTotalEnergyConsumption, from Volta on). None
    without the package nvidia-ml-py, the driver or the counter. gpu: its UUID, since NVML numbers GPUs in an order of
    its own.
    """
    try:
        library: Any = importlib.import_module("pynvml")
        library.nvmlInit()
        handle = library.nvmlDeviceGetHandleByUUID(gpu)
        library.nvmlDeviceGetTotalEnergyConsumption(handle)
    except Exception:  # NVML has an error of its own for each way in which a GPU has no counter
        return None
    return Meter("nvml", lambda: _or_nan(lambda: library.nvmlDeviceGetTotalEnergyConsumption(handle) / 1000))


@lru_cache(maxsize=1)
def codecarbon() -> Meter:
    """codecarbon's model of the whole machine (on most: watts by load, from tables), without a network. Its total is
    what its `flush` hands to an output, half a millisecond a time. Raises ValueError if it is not there or won't start.
    """
    try:
        total, flush = _tracked(importlib.import_module("codecarbon"), importlib.import_module("codecarbon.output"))
    except ImportError as error:
        raise ValueError(f"meter=codecarbon: {error}; pip install 'lth[energy]', or take meter=auto") from error
    except Exception as error:
        raise ValueError(f"meter=codecarbon does not start ({error}); take meter=auto") from error

    def joules() -> float:
        flush()
        return 3.6e6 * total["kwh"]

    return Meter(MODELLED, lambda: _or_nan(joules))


def _tracked(package: ModuleType, output: ModuleType) -> tuple[Mapping[str, float], Callable[[], object]]:
    total = {"kwh": math.nan}

    class Output(output.BaseOutput):  # type: ignore[name-defined,misc]
        def out(self, all_of_it: Any, delta: Any) -> None:
            total["kwh"] = all_of_it.energy_consumed

    logging.getLogger("codecarbon").setLevel(logging.CRITICAL)  # log_level= comes after its first messages
    # The country decides CO2e only, and the PUE is applied later: both are in the tables of lth.analysis.cost.
    tracker = package.OfflineEmissionsTracker(
        country_iso_code="USA", pue=1.0, save_to_file=False, allow_multiple_runs=True, log_level="critical",
        output_handlers=[Output()],
    )  # fmt: skip
    tracker.start()
    atexit.register(tracker.stop)
    tracker.flush()
    if math.isnan(total["kwh"]):  # it keeps its errors to itself
        raise RuntimeError("it reports nothing")
    return total, tracker.flush


def _counted(folder: Path) -> bool:
    """Packages and memory; "core" and "uncore" are parts of a package, and "psys" is the whole board."""
    return (folder / "name").read_text().strip().partition("-")[0] in ("package", "dram")


class _Zone:
    """Joules of a zone since it was made. Its counter begins again at max_energy_range_uj, at 200 W after some 20
    minutes; one turn between two readings is seen, not two.
    """

    def __init__(self, folder: Path) -> None:
        self.file, self.joules = folder / "energy_uj", 0.0
        self.last, self.turn = (float(f.read_text()) for f in (self.file, folder / "max_energy_range_uj"))

    def __call__(self) -> float:
        now = _or_nan(lambda: float(self.file.read_text()))
        self.joules += (now - self.last) % self.turn / 1e6
        self.last = now
        return self.joules


def _or_nan(read: Callable[[], float]) -> float:
    try:
        return float(read())
    except Exception:  # a counter that vanishes must not end a training of days
        return math.nan
