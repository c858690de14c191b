"""Configuration files of a user, checked before Hydra reads them."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lth import UserError
from lth.analysis import document
from lth.cli.config.conf import CONF
from lth.cli.config.literal import leads_out
from lth.cli.override import key_of
from lth.store.names import shown

KEYWORDS = ("override", "optional")
# The choice of another group; what computes text could give any path.
CHOICE = re.compile(r"\$\{[\w./@]+\}")


def check_files(overrides: Sequence[str], folder: Path | None) -> None:
    """Raise UserError if a file of the folder that a job may be composed from is a bomb, or if its defaults list leads
    out of the config groups or has an entry behind one that overrides.
    """
    if folder is None:
        return
    wanted = [each.name for each in CONF.iterdir() if each.is_dir()]
    wanted += [key_of(override) for override in overrides if "=" in override]
    seen = set[str]()
    while wanted:
        if (name := wanted.pop().partition("/")[0]) not in seen:
            seen.add(name)
            for file in _files(folder, name):
                wanted += _roots(file)


def _files(folder: Path, name: str) -> list[Path]:
    """The file of this name, and those in the group of this name."""
    alone = folder / f"{name}.yaml"
    return [*([alone] if alone.is_file() else []), *sorted((folder / name).rglob("*.yaml"))]


def _roots(file: Path) -> Iterator[str]:
    """Paths in the folder that the defaults list of a file names from its root on."""
    content = document.read(file)
    defaults = content.get("defaults") if isinstance(content, dict) else None
    entries = defaults if isinstance(defaults, list) else []
    _check_order(file, entries)
    for part in (part for entry in entries for part in _parts(entry)):
        plain = CHOICE.sub("choice", part)
        if leads_out(plain.removeprefix("/")) or "$" in plain:
            raise UserError(
                f"{file}: {part} in its defaults list is no config group, nor an option of one; name what lies in the "
                "folder of --config-dir or in lth's own configuration"
            )
        if part.startswith("/"):
            yield part[1:]


def _check_order(file: Path, entries: Sequence[Any]) -> None:
    """Raise UserError for an entry behind one that overrides: Hydra takes none there but _self_."""
    before: Any = None
    for entry in entries:
        if _overrides(entry):
            before = entry
        elif before is not None and entry != "_self_":
            raise UserError(f"{file}: {shown(str(before))} in its defaults list overrides what comes before it; put it "
                            f"behind {shown(str(entry))}, at the end of the list")  # fmt: skip


def _overrides(entry: Any) -> bool:
    return isinstance(entry, dict) and any("override" in str(group).split()[:-1] for group in entry)


def _parts(entry: Any) -> Iterator[str]:
    """Groups and options of an entry such as {"override /lr@x": warmup} or "common", without keywords and packages."""
    pairs = entry.items() if isinstance(entry, dict) else [(entry, None)]
    for group, options in pairs:
        words = [word for word in str(group).split() if word not in KEYWORDS]
        texts = [" ".join(words), *(options if isinstance(options, list) else [options])]
        yield from (text.partition("@")[0] for text in texts if isinstance(text, str) and text != "_self_")
