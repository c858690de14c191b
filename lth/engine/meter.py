"""Energy meters: RAPL (processor and memory), NVML (an NVIDIA GPU), codecarbon (modelled).

A meter measures a device, not a process: other load on the same package or GPU is included, and concurrent trainings
are each charged for all of it.
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

from lth import UserError

POWERCAP = Path("/sys/class/powercap")
Choice = Literal["auto", "codecarbon", "none"]
MODELLED = "codecarbon (modelled)"
METHODS = ("rapl", "nvml", "rapl+nvml", MODELLED)


@dataclass(frozen=True)
class Meter:
    """Energy counter. joules_so_far never decreases and is NaN from the first failed reading on, since no meter may
    stop a training. `method` is one of METHODS.
    """

    method: str
    joules_so_far: Callable[[], float]


def meter(choice: str = "auto", gpu: str | None = None, powercap: Path = POWERCAP) -> Meter | None:
    """Meter of this machine. auto: RAPL and, given the UUID of the training GPU, NVML; None if neither can be read, or
    the GPU can't. Raises UserError for an unknown choice and if codecarbon can't start.
    """
    if choice not in get_args(Choice):
        raise UserError(f"meter={choice}: choose one of {', '.join(get_args(Choice))}")
    if choice == "codecarbon":
        return codecarbon()
    measured = [rapl(powercap), None if gpu is None else nvml(gpu)] if choice == "auto" else []
    found = [each for each in measured if each is not None]
    if not found or (gpu is not None and measured[-1] is None):  # what the processor takes is the smaller part
        return None
    return Meter("+".join(m.method for m in found), lambda: sum(m.joules_so_far() for m in found))


def rapl(powercap: Path = POWERCAP) -> Meter | None:
    """Intel and AMD counters (microjoules) of every processor package, and of memory where it has its own (Linux,
    Documentation/power/powercap). None if there are none, or if only root may read them.
    """
    try:
        zones = [_Zone(folder) for folder in sorted(powercap.glob("intel-rapl:*")) if _counted(folder)]
    except (OSError, ValueError):
        return None
    return Meter("rapl", lambda: sum(zone() for zone in zones)) if zones else None


def nvml(gpu: str) -> Meter | None:
    """Counter of a GPU: millijoules since its driver was loaded (nvmlDeviceGetTotalEnergyConsumption, from Volta on).
    None without the package nvidia-ml-py, the driver or the counter. gpu: UUID, since NVML and CUDA number GPUs
    differently.
    """
    try:
        library: Any = importlib.import_module("pynvml")
        library.nvmlInit()
        handle = library.nvmlDeviceGetHandleByUUID(gpu)
        library.nvmlDeviceGetTotalEnergyConsumption(handle)
    except Exception:  # NVML raises a different error for each reason why a counter is missing
        return None
    return Meter("nvml", lambda: _or_nan(lambda: library.nvmlDeviceGetTotalEnergyConsumption(handle) / 1000))


@lru_cache(maxsize=1)
def codecarbon() -> Meter:
    """Meter of codecarbon, which models the whole machine (usually watts by load, from tables), offline. The total is
    read by `flush` through an output handler, 0.5 ms per reading. Raises UserError if it is missing or can't start.
    """
    try:
        total, flush = _tracked(importlib.import_module("codecarbon"), importlib.import_module("codecarbon.output"))
    except ImportError as error:
        raise UserError(f"meter=codecarbon: {error}; pip install 'lth[energy]', or use meter=auto") from error
    except Exception as error:
        raise UserError(f"meter=codecarbon does not start ({error}); use meter=auto") from error

    def joules() -> float:
        flush()
        return 3.6e6 * total["kwh"]

    return Meter(MODELLED, lambda: _or_nan(joules))


def _tracked(package: ModuleType, output: ModuleType) -> tuple[Mapping[str, float], Callable[[], object]]:
    total = {"kwh": math.nan}

    class Output(output.BaseOutput):  # type: ignore[name-defined,misc]
        def out(self, cumulative: Any, delta: Any) -> None:
            total["kwh"] = cumulative.energy_consumed

    logging.getLogger("codecarbon").setLevel(logging.CRITICAL)  # log_level= comes after its first messages
    # The country decides CO2e only, and the PUE is applied later: both are in the tables of lth.analysis.cost.
    tracker = package.OfflineEmissionsTracker(
        country_iso_code="USA", pue=1.0, save_to_file=False, allow_multiple_runs=True, log_level="critical",
        output_handlers=[Output()],
    )  # fmt: skip
    tracker.start()
    atexit.register(tracker.stop)
    tracker.flush()
    if math.isnan(total["kwh"]):  # it logs its errors and does not raise them
        raise RuntimeError("it reports no energy")
    return total, tracker.flush


def _counted(folder: Path) -> bool:
    """True for packages and memory; "core" and "uncore" are parts of a package, and "psys" is the whole board."""
    return (folder / "name").read_text(encoding="ascii").strip().partition("-")[0] in ("package", "dram")


class _Zone:
    """Joules of a RAPL zone since construction. The counter wraps at max_energy_range_uj (every 20 minutes or so at 200
    W); at most one wrap between two readings is detected.
    """

    def __init__(self, folder: Path) -> None:
        self.file, self.joules = folder / "energy_uj", 0.0
        files = self.file, folder / "max_energy_range_uj"
        self.last, self.range = (float(f.read_text(encoding="ascii")) for f in files)

    def __call__(self) -> float:
        now = _or_nan(lambda: float(self.file.read_text(encoding="ascii")))
        self.joules += (now - self.last) % self.range / 1e6
        self.last = now
        return self.joules


def _or_nan(read: Callable[[], float]) -> float:
    try:
        return float(read())
    except Exception:  # a failing counter must not abort a long training
        return math.nan
