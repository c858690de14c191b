"""Exceptions in one line: whose function failed, at which file and line, with what words. Imports nothing heavy."""

import errno
import linecache
import os
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from lth import UserError
from lth.store import source

ISSUES = "this is a bug in lth, please report it with the traceback"
# Errors whose words say what is wrong, whoever raises them: PyTorch's RuntimeError, a full disk, a value out of range.
WORDS = (OSError, ValueError, RuntimeError, MemoryError)
LONGEST = 500  # characters
# A disk, the share of it that one may use, or a file is full -> the remedy.
FULL = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "make room"),
    errno.EFBIG: "raise the limit of the size of files (ulimit -f)",
}

Frame = tuple[FrameType, int]  # a frame and its line


def report(error: BaseException, *, debug: bool) -> tuple[str, str]:
    """The traceback, if it is asked for or lth itself failed, else ""; and the one line."""
    if is_bug(error):
        return f"{trace(error)}\n", f"{explain(error)}; {ISSUES}"
    line = explain(error)
    is_sentence = isinstance(error, UserError | OSError) and line == words(error)
    return (
        f"{trace(error)}\n" if debug else "",
        line if debug or is_sentence else f"{line}; --debug shows the traceback",
    )


def explain(error: BaseException) -> str:
    """The one line for a person: function, place and exception; a UserError's own sentence."""
    frames = [*_frames(error)]
    if isinstance(error, UserError):
        return words(error)
    role, place = _role(frames), _users(error, frames)
    if role.partition("=")[2] == place.partition(" (")[0]:  # no helper of the function failed but itself
        role, place = "", role.partition("=")[0] + "=" * bool(role) + place
    if who := " in ".join(filter(None, [role, place])) or _net(frames):
        return f"{who} raised {named(error)}"
    return words(error) if isinstance(error, WORDS) or _raised(frames) else named(error)


def is_bug(error: BaseException) -> bool:
    """True if lth itself failed: the traceback passes through nothing of the user's, and the words are Python's."""
    frames, is_said = [*_frames(error)], isinstance(error, WORDS) and not isinstance(error, RecursionError)
    return not (is_said or _users(error, frames) or _role(frames) or _net(frames) or _raised(frames))


def is_users(error: BaseException) -> bool:
    """True if the exception came up in code of the user's."""
    return bool(_users(error, [*_frames(error)]))


def trace(error: BaseException) -> str:
    """The whole traceback as text."""
    return "".join(traceback.format_exception(error)).rstrip()


def ticket(error: BaseException) -> Any:
    """The ticket, or the one trained last, that lth was at; None if it was at none."""
    for frame, _ in reversed([*_frames(error)]):
        if _module(frame).startswith("lth."):
            for name in ("ticket", "trained"):
                value = frame.f_locals.get(name)
                if type(value).__module__ == "lth.ticket":
                    return getattr(value, "ticket", value)
    return None


def named(error: BaseException) -> str:
    """Type and words, such as KeyError: 'fc1.weight'."""
    text = words(error)
    return type(error).__name__ + (": " if str(error).strip() else " ") * bool(text) + text


def words(error: BaseException) -> str:
    """The message of an exception in one line, with the notes that were added to it."""
    said = str(error).removeprefix(f"[Errno {error.errno}] ") if isinstance(error, OSError) else str(error)
    text = " ".join(said.split())
    text = text if len(text) <= LONGEST or isinstance(error, UserError) else f"{text[:LONGEST]} ..."
    if isinstance(error, OSError) and error.errno in FULL:
        text = f"{text}: {FULL[error.errno]}, and run the same command again"
    return " ".join([text, *(f"({note})" for note in getattr(error, "__notes__", ()))]).strip()


def _frames(error: BaseException) -> Iterator[Frame]:
    """The frames that an exception passed through, the deepest last."""
    at = error.__traceback__
    while at is not None:
        yield at.tb_frame, at.tb_lineno
        at = at.tb_next


def _users(error: BaseException, frames: list[Frame]) -> str:
    """The deepest function of the user's and its place, behind the last guard: "mine.Net.forward (mine.py:12)"."""
    if isinstance(error, SyntaxError) and error.filename and _own(error.filename):
        return f"{_short(error.filename)}:{error.lineno}"
    behind = next((at for at in reversed(range(len(frames))) if _guard(frames[at][0])), 0)
    for frame, line in reversed(frames[behind:]):
        if _own(frame.f_code.co_filename):
            name = frame.f_code.co_qualname.replace("<module>", "").replace("<locals>.", "")
            return f"{'.'.join(filter(None, [_module(frame), name]))} ({_short(frame.f_code.co_filename)}:{line})"
    return ""


def _own(file: str) -> bool:
    return not file.startswith("<") and source.is_users(file)


def _short(file: str) -> str:
    """The path of a file from the working directory, if it lies below it."""
    path = Path(file)
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else file


def _role(frames: list[Frame]) -> str:
    """The function of the configuration that was called last, such as criterion=mine.scores; empty if none was."""
    return next(filter(None, (_guard(frame) for frame, _ in reversed(frames))), "")


def _guard(frame: FrameType) -> str:
    """The function that a frame of `lth.job.guard` calls, by role and name."""
    called = _module(frame) == "lth.job.guard" and frame.f_code.co_name == "__call__"
    return str(frame.f_locals["self"]) if called else ""


def _net(frames: list[Frame]) -> str:
    """The net in whose layers, none of them lth's, the exception came up, with the layer."""
    calls = [at for at, (frame, _) in enumerate(frames) if frame.f_code.co_name == "_call_impl"]
    if not calls or any(_module(frame).startswith("lth.") for frame, _ in frames[calls[0] :]):
        return ""
    net, layer = (frames[at][0].f_locals["self"] for at in (calls[0], calls[-1]))
    name = next((name for name, each in net.named_modules() if each is layer), "")
    held = [value for frame, _ in frames for value in map(frame.f_locals.get, ("recipe", "self"))]
    recipes: list[Any] = [value for value in held if type(value).__module__ == "lth.recipe"]
    model = str(recipes[0].model) if recipes and _is_guarded(recipes[0].model) else f"a {type(net).__name__}"
    return f"the net ({model})" + f" in its layer {name}" * bool(name)


def _is_guarded(function: Any) -> bool:
    return type(function).__module__ == "lth.job.guard"


def _raised(frames: list[Frame]) -> bool:
    """True if lth raised the exception itself, with words of its own."""
    frame, line = frames[-1]
    return (
        _module(frame).startswith("lth.") and linecache.getline(frame.f_code.co_filename, line).lstrip()[:6] == "raise "
    )


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))
