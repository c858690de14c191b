"""Disk cache of memory-mapped arrays; concurrent processes share one copy."""

import hashlib
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

Arrays = dict[str, np.ndarray]


def cached(name: str, files: Sequence[Path], read: Callable[[], Arrays], cache: str | None) -> Arrays:
    """Memory-mapped result of `read`, which is called once per version of the files (path, size, modification time)."""
    facts = [(str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    base = Path(cache or os.environ.get("LTH_CACHE") or Path.home() / ".cache" / "lth")
    folder = base / f"{name}-{hashlib.sha256(repr(facts).encode()).hexdigest()[:16]}"
    if not folder.is_dir():
        _write(folder, read())
    return {file.stem: np.load(file, mmap_mode="r") for file in sorted(folder.glob("*.npy"))}


def _write(folder: Path, arrays: Arrays) -> None:
    """Write to a temporary folder and rename it: a cache is complete or absent, also with concurrent processes."""
    temporary = folder.with_name(f"{folder.name}.{os.getpid()}")
    try:
        temporary.mkdir(parents=True, exist_ok=True)
        for name, array in arrays.items():
            np.save(temporary / f"{name}.npy", array)
        temporary.rename(folder)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        if not folder.is_dir():
            raise OSError(f"can't write the data cache {folder} ({error}): set data.cache to another folder") from error
