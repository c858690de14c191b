"""The lab record that opens the file of an experiment, taken apart."""

import inspect
import re
from dataclasses import dataclass, field

_HEAD = re.compile(r"(Command|Expect|Cost|Result)(?: \((.*)\))?")


@dataclass(frozen=True)
class Part:
    """What stands under one of the heads of a record, line by line, and the note in parentheses behind the head."""

    note: str = ""
    lines: tuple[str, ...] = ()

    @property
    def prose(self) -> str:
        """The lines as one paragraph; a word that is broken at its hyphen is put together again."""
        return re.sub(r"(?<=\w)-\n(?=\w)", "-", "\n".join(self.lines)).replace("\n", " ").strip()


@dataclass(frozen=True)
class Record:
    """`title`: the first line, without its full stop. A head that the record lacks has an empty part."""

    title: str
    about: Part = field(default_factory=Part)
    command: Part = field(default_factory=Part)
    expect: Part = field(default_factory=Part)
    cost: Part = field(default_factory=Part)
    result: Part = field(default_factory=Part)


def parse(text: str) -> Record:
    """The record that a docstring holds: its title, what stands before the first head, and what under each head."""
    title, *rest = inspect.cleandoc(text).splitlines() or [""]
    notes, lines = {"about": ""}, {"about": list[str]()}
    head = "about"
    for line in rest:
        if found := _HEAD.fullmatch(line):
            head = found[1].lower()
            notes[head], lines[head] = found[2] or "", []
        else:
            lines[head].append(line.strip())
    return Record(title.rstrip("."), **{head: Part(notes[head], tuple(lines[head])) for head in lines})


def commands(part: Part) -> list[tuple[str, str]]:
    """Each command with the remark that stands behind it, two spaces or more apart."""
    pairs = [re.split(r"\s{2,}", line, maxsplit=1) for line in part.lines if line]
    return [(command, remark[0] if remark else "") for command, *remark in pairs]
