"""Names of experiments and projects, and paths of folders, checked where they enter; names that may have been meant.
Imports no PyTorch.
"""

import difflib
import hashlib
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from lth import UserError

# "/" and "\" would lead into another folder; Windows forbids the others; "$" begins a formula in a figure, and "$" and
# "`" a command where a shell completes names.
FORBIDDEN = '/\\<>:"|?*$`'
PROJECT = "/\\#?%:"  # characters that wandb forbids
# Names that Windows keeps for devices, and the word for every experiment.
RESERVED = {"con", "prn", "aux", "nul", "all", *(f"{port}{number}" for port in ("com", "lpt") for number in range(10))}
LONGEST = 200  # bytes; a file system allows 255, and files add endings such as -1-level-3-compact-int8.onnx


def check_name(name: str) -> None:
    """Raise UserError unless an experiment can be called so: folders and files of results are named after it."""
    if not name.strip():
        raise UserError(f"name={name}: give the experiment a name, such as first_ticket")
    if reason := _reason(name):
        raise UserError(f"name={shown(name)}: {reason}, since folders and files are named after the experiment; "
                        f"take another, such as name={_allowed(name)}")  # fmt: skip


def check_path(key: str, path: str) -> None:
    """Raise UserError unless `path`, the value of `key`, can be the path of a file or folder."""
    if reason := path_reason(path):
        raise UserError(f"{key}={shown(path)}: {reason}")


def check_project(key: str, project: str) -> None:
    """Raise UserError unless `project`, the value of `key`, can be a project of Weights & Biases."""
    wrong = [character for character in project if character in PROJECT or not character.isprintable()]
    if wrong or not 0 < len(project.strip()) <= 128:
        raise UserError(f"{key}={shown(project)}: the name of a project has 1 to 128 characters, none of "
                        f"{' '.join(PROJECT)}")  # fmt: skip


def path_reason(path: str) -> str:
    """The reason why text can't be the path of a file or folder; empty if it can."""
    if not path.strip():
        return "give a path; the folder that you are in is ."
    if not path.isprintable():
        return f"a path must consist of characters that can be printed, and {shown(path)} doesn't"
    return "~ would be a folder of that name; write the path of your home folder" if path.startswith("~") else ""


def similar(name: str, known: Iterable[str], *, most: int = 2, cutoff: float = 0.7) -> list[str]:
    """Known names that may have been meant, the most similar first. cutoff: least similarity, from 0 to 1 (equal)."""
    return difflib.get_close_matches(name, [*known], n=most, cutoff=cutoff)


def did_you_mean(names: Sequence[str]) -> str:
    """Such as ". Did you mean a or b?", to end a sentence with; empty without names."""
    return f". Did you mean {' or '.join(names)}?" if names else ""


def folder_of(name: str) -> str:
    """The name of an experiment as that of its folder, which is in UTF-8 whatever the locale."""
    return os.fsdecode(name.encode(errors="surrogateescape"))


def file_of(words: Iterable[str]) -> str:
    """Words joined by dashes as the name of a file, without its ending; a digest of all ends one that is cut."""
    text = re.sub(f"[{re.escape(FORBIDDEN)}]", "_", "-".join(words))
    if len(data := text.encode(errors="surrogateescape")) > LONGEST:
        text = data[: LONGEST - 9].decode(errors="ignore") + f"-{hashlib.sha256(data).hexdigest()[:8]}"
    return folder_of(text)


def name_of(folder: Path) -> str:
    """The name of the experiment whose records a folder holds; the same in a locale of ASCII."""
    return os.fsencode(folder.name).decode(errors="replace")


def experiment_folder(root: Path, name: str) -> Path:
    """The folder of an experiment in a store, with its records."""
    return root / "experiments" / folder_of(name)


def shown(text: str) -> str:
    """Text with escapes for what can't be printed."""
    return text if text.isprintable() else ascii(text)[1:-1]


def _reason(name: str) -> str:
    wrong = [character for character in name if character in FORBIDDEN or not character.isprintable()]
    if wrong:
        return f"a name can't contain {shown(wrong[0])}"
    if name != name.strip() or name[0] in ".-~" or name[-1] == ".":
        return "a name can't begin with . - ~ or a space, nor end with . or a space"
    if name.partition(".")[0].lower() in RESERVED:
        return f"{name} is reserved"
    return f"a name has at most {LONGEST} bytes" if len(name.encode()) > LONGEST else ""


def _allowed(name: str) -> str:
    """A similar name that is allowed."""
    plain = re.sub(r"[^\w.-]+", "_", name).strip("._-~ ")
    short = plain.encode()[:40].decode(errors="ignore")
    return "my_experiment" if not short or _reason(short) else short
