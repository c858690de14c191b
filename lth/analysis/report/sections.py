"""Sections of a page: content -> blocks; a section without content is empty."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from lth.analysis import plot, summary
from lth.analysis.report import lab
from lth.analysis.report.blocks import Block, Heading, Paragraph, Table
from lth.analysis.report.content import Content

SPREAD = "Mean and sample standard deviation over n replicates (and draws); no deviation for n = 1."
UNKNOWN = "–: known only with the store under --runs; the table of results has commit, machine and dates."


@dataclass(frozen=True)
class Section:
    """A section of the page; `key` is its anchor."""

    key: str
    title: str
    blocks: Sequence[Block]


def sections(content: Content) -> list[Section]:
    """The sections of a page that have content, in order."""
    filled = [Section(key, title, fill(content)) for key, title, fill in _SECTIONS]
    return [section for section in filled if section.blocks]


def _noted(part: lab.Part) -> list[Block]:
    return [
        *([Paragraph(part.note, note=True)] if part.note else []),
        *([Paragraph(part.prose)] if part.prose else []),
    ]


def _question(content: Content) -> list[Block]:
    record = content.record
    whose = "What the paper printed" if record.expect.note.startswith("the paper") else "What is expected"
    expected = [Heading(whose), *_noted(record.expect)] if record.expect.prose else []
    found = [Heading("What came out"), *_noted(record.result)] if record.result.prose else []
    return [*_noted(record.about), *expected, *found]


def _figures(content: Content) -> list[Block]:
    return list(content.pictures)


def _scorecard(content: Content) -> list[Block]:
    claims = content.claims.drop(columns="figure")
    if claims.empty:
        return []
    return [Paragraph(content.verdicts), _table(claims.astype(str), "The paper's claims beside our results")]


def _results(content: Content) -> list[Block]:
    groups = content.tickets.groupby(plot.short_names(content.tickets), sort=False)
    return [Paragraph(SPREAD, note=True), *(_summary(str(variant), part) for variant, part in groups)]


def _summary(variant: str, tickets: pd.DataFrame) -> Table:
    frame = summary.summary(tickets)
    branches = list(dict.fromkeys(branch for branch, _ in frame.columns if branch))
    each = (len(frame.columns) - 1) // len(branches)
    groups = [("", 2), *((plot.branch_label(branch), each) for branch in branches)]
    header = ["level", *(title for _, title in frame.columns)]
    return Table(variant or "All levels", header, _rows(frame.itertuples(name=None)), groups)


def _compression(content: Content) -> list[Block]:
    return [block for title, blocks in content.compression for block in _titled(title, blocks)]


def _titled(title: str, blocks: Sequence[pd.DataFrame | str]) -> list[Block]:
    return [Paragraph(each, note=True) if isinstance(each, str) else _table(each, title) for each in blocks]


def _cost(content: Content) -> list[Block]:
    rows = content.tickets.drop_duplicates("digest")
    groups = rows.groupby(["model", "data", "steps", "machine"], sort=True)["seconds"]
    times = groups.agg(
        trainings="size", seconds=lambda v: summary.mean_and_spread(v, 1), hours=lambda v: f"{v.sum() / 3600:.2f}"
    )
    seconds = _table(times.reset_index(), "Time of a training, and hours of all trainings of a row")
    sums = content.cost.cells.drop(columns="shared")  # always 0 for one experiment alone
    transposed = sums.set_index(sums.columns[0]).T.reset_index(names="")
    return [*_noted(content.record.cost), seconds, *_titled("Cost of the trainings", [transposed, *content.cost.notes])]


def _commands(content: Content) -> list[Block]:
    lines = [*lab.commands(content.record.command), *content.commands]
    return [Table("In the order of an experiment", ["command", "what it does"], lines)]


def _versions(content: Content) -> list[Block]:
    facts = dict.fromkeys([*content.versions, *content.here])
    rows = [(fact, "\n".join(content.versions.get(fact, ())) or "–", content.here.get(fact, "–")) for fact in facts]
    unknown = [Paragraph(UNKNOWN, note=True)] if any(cell == "–" for row in rows for cell in row) else []
    return [*unknown, Table("Provenance of the numbers", ["", "the trainings", "this page"], rows)]


def _table(frame: pd.DataFrame, caption: str) -> Table:
    return Table(caption, [str(name) for name in frame], _rows(frame.itertuples(index=False, name=None)))


def _rows(rows: Iterable[Sequence[object]]) -> list[list[str]]:
    return [[_cell(value) for value in row] for row in rows]


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "" if pd.isna(value) else f"{value:.4g}"
    return str(value)


_SECTIONS: Sequence[tuple[str, str, Callable[[Content], list[Block]]]] = (
    ("question", "The question", _question),
    ("figures", "Figures", _figures),
    ("scorecard", "Scorecard", _scorecard),
    ("results", "Results", _results),
    ("compression", "Compression", _compression),
    ("cost", "Cost", _cost),
    ("commands", "Commands", _commands),
    ("versions", "Versions", _versions),
)
