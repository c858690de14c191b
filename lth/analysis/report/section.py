"""The sections of a page: what was gathered -> elements; a section that has nothing to say is empty."""

from collections.abc import Callable, Sequence
from xml.etree.ElementTree import Element

import pandas as pd

from lth.analysis import plot, summary
from lth.analysis.report import lab
from lth.analysis.report.content import Content
from lth.analysis.report.files import Blocks
from lth.analysis.report.markup import element, image
from lth.analysis.report.markup import table as box

SPREAD = "Mean and sample standard deviation over n replicates (and draws); of a single one no spread is known."


def _noted(part: lab.Part) -> list[Element]:
    note = [element("p", part.note, class_="note")] if part.note else []
    return [*note, element("p", part.prose)] if part.prose else []


def _question(content: Content) -> list[Element]:
    record = content.record
    whose = "What the paper printed" if record.expect.note.startswith("the paper") else "What is expected"
    expected = [element("h3", whose), *_noted(record.expect)] if record.expect.prose else []
    found = [element("h3", "What came out"), *_noted(record.result)] if record.result.prose else []
    return [*_noted(record.about), *expected, *found]


def _figures(content: Content) -> list[Element]:
    return [image(picture) for picture in content.pictures]


def _scorecard(content: Content) -> list[Element]:
    claims = content.claims.drop(columns="figure").astype(str)
    if claims.empty:
        return []
    rows = list(claims.itertuples(index=False, name=None))
    return [element("p", content.verdicts), box(list(claims), rows, "What the paper claims beside what came out")]


def _results(content: Content) -> list[Element]:
    groups = content.tickets.groupby(summary.variants(content.tickets), sort=False)
    return [element("p", SPREAD, class_="note"), *(_summary(str(variant), part) for variant, part in groups)]


def _summary(variant: str, tickets: pd.DataFrame) -> Element:
    frame = summary.summary(tickets).fillna("")
    branches = list(dict.fromkeys(branch for branch, _ in frame.columns if branch))
    each = (len(frame.columns) - 1) // len(branches)
    groups = [("", 2), *((plot.LABELS.get(branch, branch), each) for branch in branches)]
    rows = [[str(cell) for cell in row] for row in frame.itertuples(name=None)]
    return box(["level", *(title for _, title in frame.columns)], rows, variant or "All levels", groups)


def _compression(content: Content) -> list[Element]:
    return [each for title, blocks in content.compression for each in _blocks(title, blocks)]


def _blocks(title: str, blocks: Blocks) -> list[Element]:
    return [
        _plain(block, title) if isinstance(block, pd.DataFrame) else element("p", block, class_="note")
        for block in blocks
    ]


def _cost(content: Content) -> list[Element]:
    rows = content.tickets.drop_duplicates("digest")
    groups = rows.groupby(["model", "data", "steps", "machine"], sort=True)["seconds"]
    spent = groups.agg(
        trainings="size", seconds=lambda v: summary.mean_and_spread(v, 1), hours=lambda v: f"{v.sum() / 3600:.2f}"
    )
    seconds = _plain(spent.reset_index(), "Time of a training, and of all of a line")
    # What is shared with other experiments can't be told from one of them.
    sums = [
        _upright(block.drop(columns="shared")) if isinstance(block, pd.DataFrame) else block
        for block in content.cost
        if not (isinstance(block, str) and block.startswith("shared:"))
    ]
    return [*_noted(content.record.cost), seconds, *_blocks("What the trainings cost", sums)]


def _upright(frame: pd.DataFrame) -> pd.DataFrame:
    """Few lines of many columns, turned: a line per column."""
    return frame.set_index(frame.columns[0]).T.reset_index(names="")


def _commands(content: Content) -> list[Element]:
    lines = [*lab.commands(content.record.command), *content.commands]
    return [box(["command", "what it does"], lines, "In the order of an experiment")]


def _versions(content: Content) -> list[Element]:
    """What a table does not name of its trainings stands in the commit."""
    facts = dict.fromkeys([*content.versions, *content.here])
    rows = [(fact, "\n".join(content.versions.get(fact, ())) or "–", content.here.get(fact, "–")) for fact in facts]
    missing = "–: only the store under --runs names it; the table of results names commit, machine and dates."
    note = [element("p", missing, class_="note")] if any(cell == "–" for row in rows for cell in row) else []
    return [*note, box(["", "the trainings", "this page"], rows, "Where the numbers are from")]


def _plain(frame: pd.DataFrame, caption: str) -> Element:
    return box([str(name) for name in frame], frame.map(_cell).itertuples(index=False, name=None), caption)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "" if pd.isna(value) else f"{value:.4g}"
    return str(value)


SECTIONS: Sequence[tuple[str, str, Callable[[Content], list[Element]]]] = (
    ("question", "The question", _question),
    ("figures", "Figures", _figures),
    ("scorecard", "Scorecard", _scorecard),
    ("results", "Results", _results),
    ("compression", "Compression", _compression),
    ("cost", "Cost", _cost),
    ("commands", "Commands", _commands),
    ("versions", "Versions", _versions),
)
