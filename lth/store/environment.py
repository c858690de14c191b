"""Provenance of a result: versions, machine, commit."""

import os
import platform
import re
import resource
import subprocess
import sys
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import lth

PACKAGES = ("torch", "pytorch-lightning", "numpy")


def environment() -> dict[str, str]:
    """Versions, machine, commit and time, to be stored with a result."""
    return {**_fixed(), "date": datetime.now(UTC).isoformat(timespec="seconds")}


@lru_cache(maxsize=1)
def _fixed() -> dict[str, str]:
    facts = {"lth": lth.__version__, "python": platform.python_version(), "commit": commit(), "machine": machine()}
    for package in PACKAGES:
        try:
            facts[package] = version(package)
        except PackageNotFoundError:
            facts[package] = "unknown"
    return facts


def commit() -> str:
    """Commit of the checkout that this code runs from, with a "+" if files differ from it; "release" outside of one."""
    folder = Path(lth.__file__).resolve().parent.parent
    if not (folder / ".git").exists():
        return "release"
    head, changed = _git(folder, "rev-parse", "--short=12", "HEAD"), _git(folder, "status", "--porcelain", "-uno")
    return (head or "unknown") + ("+" if changed else "")


def _git(folder: Path, *arguments: str) -> str:
    """Run git; returns its output, empty if it fails or is not installed."""
    command = ["git", "-C", str(folder), *arguments]
    try:
        ran = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=False)
    except OSError:
        return ""
    return ran.stdout.strip()


def peak_memory() -> float:
    """Peak resident memory of this process so far, in GB (10^9 bytes)."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def instructions() -> str:
    """Vector instructions that PyTorch computes with on this processor, such as AVX2; they order its sums."""
    import torch

    return torch.backends.cpu.get_cpu_capability()


def machine() -> str:
    """Processor and number of cores, such as "AMD EPYC, 2 cores"."""
    name = _cpuinfo("model name") or platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} cores"


def load() -> str:
    """Mean number of running processes in the last minute, such as "load 1.2"."""
    return f"load {os.getloadavg()[0]:.1f}"


def gpu(device: str) -> dict[str, str]:
    """Name of an NVIDIA GPU, such as cuda:0, and the version of its driver; nothing for another device."""
    import torch

    if not device.startswith("cuda"):
        return {}
    return {"gpu": torch.cuda.get_device_name(device), "driver": driver()}


def driver(file: Path = Path("/proc/driver/nvidia/version")) -> str:
    """Version of NVIDIA's driver, such as 550.54.14; "unknown" where the system does not say."""
    try:
        found = re.search(r"NVRM version:.*?\s(\d+(?:\.\d+)+)\s", file.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        found = None
    return found[1] if found else "unknown"


def cpu_flags() -> set[str]:
    """CPU feature flags as listed in /proc/cpuinfo, such as "avx512_bf16"; empty elsewhere."""
    return set(_cpuinfo("flags").split())


def _cpuinfo(wanted: str) -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    pairs = (line.partition(":") for line in lines)
    return next((value.strip() for key, _, value in pairs if key.strip() == wanted), "")
