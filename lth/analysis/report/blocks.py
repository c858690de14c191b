"""Parts of a page: paragraphs, headings, tables, pictures; `blocks.html` has the markup of each."""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass

SHORT = 26
_NUMBER = re.compile(r"([+-]?\d[\d,.]*(e[+-]\d+)?( ± [\d.]+)?|nan|–|-|)")


@dataclass(frozen=True)
class Paragraph:
    """Text; note: in small and gray."""

    text: str
    note: bool = False


@dataclass(frozen=True)
class Heading:
    """Heading within a section."""

    text: str


@dataclass(frozen=True)
class Table:
    """Cells are text. groups: (name, columns) of a row of headings above the header."""

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    groups: Sequence[tuple[str, int]] = ()

    @property
    def kinds(self) -> list[str]:
        """Class of each column: numbers are aligned right, short text is kept on one line."""
        return [_kind([row[column] for row in self.rows]) for column in range(len(self.header))]


@dataclass(frozen=True)
class Picture:
    """An image file in memory; kind: its media type."""

    caption: str
    alt: str
    kind: str
    data: bytes

    @property
    def address(self) -> str:
        """The image as a data URL."""
        return f"data:{self.kind};base64,{base64.b64encode(self.data).decode()}"


Block = Paragraph | Heading | Table | Picture


def _kind(cells: Sequence[str]) -> str:
    if all(_NUMBER.fullmatch(cell) for cell in cells):
        return "number"
    return "short" if max(map(len, cells)) <= SHORT else "text"
