"""Files that are whole or absent: written aside, flushed to the disk, and renamed.

The name aside belongs to one process of one host and one moment: containers may share process ids, and threads a
process. Files that a killed process left aside are swept by the next one that writes to the folder.
"""

import contextlib
import errno
import hashlib
import os
import platform
import re
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from functools import lru_cache
from io import BufferedReader
from pathlib import Path

DAY = 24 * 60 * 60
# Errors that say that a folder is not there or not to be written to.
CLOSED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR}
LARGEST = 2**34  # bytes that are read of one file
ASIDE = re.compile(r"\.aside-(?P<host>[0-9a-f]{8})-(?P<process>\d+)-(?P<started>-?\d+)-[0-9a-f]{16}(\.\w+)?")
_swept = set[tuple[int, Path]]()


def write_whole(file: Path, data: bytes) -> None:
    """Write a file atomically; raises OSError that names it. What stands there under its name is replaced."""
    with aside(file) as temporary, open(temporary, "xb") as stream:
        stream.write(data)


def write_text(file: Path, text: str) -> None:
    """Write a text atomically, as UTF-8."""
    write_whole(file, text.encode())


def write_out(file: Path, data: bytes) -> None:
    """Write to a name that a user gave: through a link to its file, and straight into a device or pipe."""
    if file.exists() and not file.is_file() and not file.is_dir():
        file.write_bytes(data)
    else:
        write_whole(file.resolve(), data)


@contextlib.contextmanager
def aside(file: Path) -> Iterator[Path]:
    """A path in the same folder to write to. At the end it takes the place of `file`; after an error it is deleted."""
    sweep_once(file.parent)
    temporary = name_aside(file)
    try:
        yield temporary
        _flush(temporary)
        os.replace(temporary, file)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            remedy = ". Choose a folder that can be written to" if error.errno in CLOSED else ""
            raise OSError(error.errno, f"can't write {file}: {error.strerror or error}{remedy}") from error
        raise


def read_whole(file: Path, most: int = LARGEST) -> bytes:
    """Bytes of a regular file. Raises OSError; never waits for a pipe, nor reads a device or more than `most` bytes."""
    with open_regular(file) as stream:
        if os.fstat(stream.fileno()).st_size > most:
            raise OSError(errno.EFBIG, f"larger than {most:,} bytes", str(file))
        return stream.read(most)


def open_regular(file: Path) -> BufferedReader:
    """Open a regular file, or a link to one, for reading; raises OSError for anything else, without waiting."""
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file", str(file))
    return open(descriptor, "rb")


@contextlib.contextmanager
def folder_aside(folder: Path) -> Iterator[Path]:
    """A new folder in this one, which is deleted at the end; those of processes that were killed go first."""
    sweep(folder)
    temporary = name_aside(folder / "folder")
    try:
        temporary.mkdir()
    except OSError as error:
        raise OSError(error.errno, f"can't write to {folder}: {error.strerror}") from error
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def sweep(folder: Path) -> None:
    """Delete the files and folders aside whose process is dead, or not known here and silent for a day."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if _is_left(entry):
                with contextlib.suppress(OSError):
                    if entry.is_dir(follow_symlinks=False):
                        shutil.rmtree(entry.path)
                    else:
                        os.unlink(entry.path)


def _is_left(entry: "os.DirEntry[str]") -> bool:
    found = ASIDE.fullmatch(entry.name)
    if found and found["host"] == here():
        return is_gone(int(found["process"]), int(found["started"]))
    with contextlib.suppress(OSError):
        return bool(found) and time.time() - entry.stat(follow_symlinks=False).st_mtime > DAY
    return False


def sweep_once(folder: Path) -> None:
    """Sweep a folder at the first write of this process."""
    key = os.getpid(), folder
    if key not in _swept:
        _swept.add(key)
        sweep(folder)


def name_aside(file: Path) -> Path:
    """A path beside a file that no other process or thread has."""
    process = os.getpid()
    return file.with_name(f".aside-{here()}-{process}-{started(process)}-{secrets.token_hex(8)}{file.suffix}")


@lru_cache(maxsize=1)
def here() -> str:
    """Identify what process ids are unique in: a host since it was started, or a container on it."""
    facts = [platform.node()]
    with contextlib.suppress(OSError):
        facts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii"))
        facts.append(os.readlink("/proc/self/ns/pid"))
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:8]


def started(process: int) -> int:
    """Time at which a process of this host started, in clock ticks; -1 if it has ended; 0 if times are not known."""
    try:
        state, *stats = Path(f"/proc/{process}/stat").read_bytes().rpartition(b")")[2].split()
        return -1 if state in (b"Z", b"X") else int(stats[18])  # a zombie writes no more
    except (OSError, ValueError, IndexError):
        return 0 if _is_alive(process) else -1  # processes of other users may be hidden


def is_gone(process: int, began: int) -> bool:
    """True if the process of this host that started at this time has ended."""
    now = started(process)
    return now == -1 or (now != began and 0 not in (now, began))


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True


def _flush(file: Path) -> None:
    with open(file, "rb") as stream:
        os.fsync(stream.fileno())
