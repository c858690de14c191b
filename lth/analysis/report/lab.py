"""Parser of the lab record in an experiment's module docstring."""

import inspect
import re
from dataclasses import dataclass, field

_HEAD = re.compile(r"(Command|Expect|Cost|Result)(?: \((.*)\))?")
_NOTED = re.compile(r"(Command|Expect|Cost|Result) \(")  # the note may go on in the next lines


@dataclass(frozen=True)
class Part:
    """Lines under one head of a record, and the note in parentheses after the head."""

    note: str = ""
    lines: tuple[str, ...] = ()

    @property
    def prose(self) -> str:
        """The lines as one paragraph; words broken at a hyphen are joined."""
        return re.sub(r"(?<=\w)-\n(?=\w)", "-", "\n".join(self.lines)).replace("\n", " ").strip()


@dataclass(frozen=True)
class Record:
    """A lab record. title: the first line without its full stop; a head that is absent has an empty part."""

    title: str
    about: Part = field(default_factory=Part)
    command: Part = field(default_factory=Part)
    expect: Part = field(default_factory=Part)
    cost: Part = field(default_factory=Part)
    result: Part = field(default_factory=Part)


def parse(text: str) -> Record:
    """Split a docstring into its title, the lines before the first head, and those under each head."""
    title, *rest = inspect.cleandoc(text).splitlines() or [""]
    notes, lines = {"about": ""}, {"about": list[str]()}
    head, begun = "about", ""
    for each in rest:
        line = f"{begun} {each.strip()}" if begun else each
        begun = line if _NOTED.match(line) and line.count("(") > line.count(")") else ""
        if begun:
            continue
        if found := _HEAD.fullmatch(line):
            head = found[1].lower()
            notes[head], lines[head] = found[2] or "", []
        else:
            lines[head].append(line.strip())
    return Record(title.rstrip("."), **{head: Part(notes[head], tuple(lines[head])) for head in lines})


def commands(part: Part) -> list[tuple[str, str]]:
    """(command, remark) of each line; two spaces or more are between them."""
    pairs = [re.split(r"\s{2,}", line, maxsplit=1) for line in part.lines if line]
    return [(command, remark[0] if remark else "") for command, *remark in pairs]
