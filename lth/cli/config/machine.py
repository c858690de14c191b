"""Cores and GPUs that this process may use, and how the jobs of a sweep share them. Imports no PyTorch."""

import contextlib
import multiprocessing
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

CUDA = "CUDA_VISIBLE_DEVICES"
# Cores that a scheduler gave to this job; not all schedulers bind a job to its cores. The first that is set counts.
GRANTS = ("SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE", "NCPUS")
DEVICE = re.compile(r"\d+|(GPU|MIG)-.+")


def granted() -> tuple[str, int] | None:
    """(variable, number) of the cores that a scheduler gave to this job; None if no scheduler says so."""
    found = [(name, value) for name in GRANTS if (value := os.environ.get(name, "")).isdecimal()]
    return next(((name, int(number)) for name, number in found if int(number) > 0), None)


def cores() -> int:
    """Number of cores that this process may use: by its affinity, its share of a container, and its scheduler."""
    given = granted()
    return min(available(), given[1]) if given else available()


def available(group: Path = Path("/sys/fs/cgroup")) -> int:
    """Number of cores by affinity, and by the quota of a control group, of version 2 or 1."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for files in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        with contextlib.suppress(OSError, ValueError):  # no such group, or "max" for no quota
            quota, period = map(int, " ".join((group / file).read_text(encoding="ascii") for file in files).split())
            return max(1, min(usable, -(-quota // period))) if quota > 0 < period else usable
    return usable


def gpus(device: str = "auto") -> list[str]:
    """The GPUs of NVIDIA that this process may use, as CUDA_VISIBLE_DEVICES names them; none for device=cpu."""
    if device == "cpu":
        return []
    return visible(os.environ[CUDA]) if CUDA in os.environ else visible(",".join(_listed()))


def visible(value: str) -> list[str]:
    """The devices of a value of CUDA_VISIBLE_DEVICES; like CUDA, it stops at the first entry that is not a device."""
    found = [each.strip() for each in value.split(",")]
    wrong = next((at for at, each in enumerate(found) if not DEVICE.fullmatch(each)), len(found))
    return found[:wrong]


def at_once(threads: int, device: str = "auto", devices: int = 1) -> int:
    """Number of jobs that run at once: one per GPU, else one per `threads` cores; of each of these a job has as many as
    it trains on `devices`.
    """
    return max(1, (len(gpus(device)) or cores() // int(threads)) // int(devices))


def gpu(worker: int, devices: Sequence[str], each: int = 1) -> str:
    """The devices of worker 1, 2, ..., `each` in number: all in turn, so that as many workers as devices have one each.
    All devices if there are fewer than `each`.
    """
    parts = [devices[start : start + each] for start in range(0, len(devices) - each + 1, each)] or [devices]
    return ",".join(parts[(worker - 1) % len(parts)])


def worker() -> int | None:
    """Number of this process among the workers of joblib, from 1 on; None in any other process."""
    found = re.fullmatch(r"LokyProcess-(\d+)", multiprocessing.current_process().name)
    return int(found[1]) if found else None


def take_gpu(device: str, each: int = 1) -> None:
    """Leave `each` GPUs visible in a worker of joblib, before it starts CUDA, others to each worker."""
    if CUDA not in os.environ or "," in os.environ[CUDA]:  # else the choice is made
        number, devices = worker(), gpus(device)
        if number and devices:
            os.environ[CUDA] = gpu(number, devices, each)


def _listed() -> list[str]:
    """The GPUs that NVIDIA's driver lists, by number."""
    if (program := shutil.which("nvidia-smi")) is None:
        return []
    ran = subprocess.run([program, "-L"], capture_output=True, encoding="utf-8", errors="replace", check=False)
    return re.findall(r"^GPU (\d+):", ran.stdout, re.MULTILINE)
