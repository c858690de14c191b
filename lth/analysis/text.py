"""A table as text that is readable as it is, and as markdown."""

from collections.abc import Sequence


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """The first line is the header; numbers, and all else, stand to the right."""
    widths = [max(2, *map(len, column)) for column in zip(*lines, strict=True)]  # a rule needs a hyphen
    header, *body = [" | ".join(cell.rjust(w) for cell, w in zip(line, widths, strict=True)) for line in lines]
    rule = " | ".join(["-" * (width - 1) + ":" for width in widths])
    return "\n".join(f"| {line} |" for line in [header, rule, *body])
