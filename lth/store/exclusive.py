"""Small files that one process creates and others may take away, on any file system. Imports no PyTorch."""

import contextlib
import errno
import os
from collections.abc import Callable
from pathlib import Path

from lth.file import name_aside, read_whole, sweep_once

LARGEST = 2**16  # bytes
NO_LINKS = {errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK}


def read(path: Path) -> bytes | None:
    """Content of a file, or None if there is none. It is opened anew, since a network file system may tell old news
    otherwise. Raises OSError.
    """
    try:
        return read_whole(path, LARGEST)
    except (FileNotFoundError, NotADirectoryError):
        if not path.is_symlink():
            return None
        raise OSError(errno.ELOOP, f"{path} can't be read (a broken symbolic link): move it away") from None
    except OSError as error:
        if error.errno == errno.ESTALE:  # deleted while it was read
            return None
        raise OSError(error.errno, f"{path} can't be read ({error.strerror}): move it away") from error


def create(path: Path, content: bytes) -> bool:
    """Create a file with its content, at once; False if there is one. Raises OSError."""
    sweep_once(path.parent)
    aside = name_aside(path)
    try:
        _write(aside, content)
        _link(aside, path, content)
    except FileExistsError:
        return read(path) == content  # so it is where a network lost the first answer and asked again
    finally:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)
    return True


def _link(aside: Path, path: Path, content: bytes) -> None:
    try:
        os.link(aside, path)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        _write(path, content)  # empty for a moment; whoever sees it so, watches it


def _write(path: Path, content: bytes) -> None:
    with open(path, "xb") as file:
        file.write(content)


def remove(path: Path, is_it: Callable[[bytes], bool]) -> bool:
    """Delete a file, out of sight; False if it was not the one that was meant, which then is put back."""
    aside = name_aside(path)
    with contextlib.suppress(FileNotFoundError):
        os.rename(path, aside)
    found = read(aside)
    meant = found is None or is_it(found)
    if found is not None and not meant:
        create(path, found)
    aside.unlink(missing_ok=True)
    return meant
