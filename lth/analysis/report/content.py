"""Content of a page, gathered from the lab record, the results, the scorecard and the tables of files."""

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from lth.analysis import learning, plot, registry, results, scorecard
from lth.analysis.cost.statement import Statement, statement
from lth.analysis.report import files
from lth.analysis.report.blocks import Picture
from lth.analysis.report.commands import commands
from lth.analysis.report.lab import Record, parse
from lth.store import Corrupt
from lth.store.environment import environment
from lth.store.result import read_facts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CURVES = "Learning curves: test accuracy (or the metric of another task) over the steps of training."


@dataclass(frozen=True)
class Content:
    """Content of the page of an experiment.

    tickets: the rows of this experiment alone.
    source: where they are from.
    compression: (title, tables and notes).
    versions: fact -> values of the trainings.
    here: fact -> value of the program that makes the page.
    """

    name: str
    record: Record
    tickets: pd.DataFrame
    source: str
    pictures: Sequence[Picture]
    claims: pd.DataFrame
    verdicts: str
    compression: Sequence[tuple[str, Sequence[pd.DataFrame | str]]]
    cost: Statement
    versions: dict[str, Sequence[str]]
    here: dict[str, str]
    commands: Sequence[tuple[str, str]]


def gather(name: str, runs: Path, figures: Path) -> Content:
    """The content of an experiment's page; raises UserError if there are no results."""
    experiment = registry.load(name)
    rows, evaluations = results.of(experiment, name, runs)
    figure = results.figure_of(experiment, name, runs, rows, evaluations)
    record = parse(experiment.__doc__ or name)
    own = rows[rows["experiment"] == name].dropna(axis=1, how="all")
    claims = scorecard.compared([(name, experiment, rows, results.also(experiment, runs))])
    stored = os.path.exists(runs / "trained" / str(own["digest"].iloc[0]))  # False too where it may not be looked for
    return Content(
        name=name,
        record=record,
        tickets=own,
        source=f"the store under {runs}" if stored else "the committed results",
        pictures=[
            _picture(figure, record.title, experiment.draw.__doc__ or ""),
            *([] if name in registry.names() else _curves(name, own, evaluations)),
            *files.pictures(name, figures),
        ],
        claims=claims,
        verdicts=scorecard.counted(claims),
        compression=files.tables(name, figures),
        cost=statement({name: own}),
        versions=_versions(own, runs),
        here=environment(),
        commands=commands(name, runs, figures),
    )


def _curves(name: str, tickets: pd.DataFrame, evaluations: pd.DataFrame) -> list[Picture]:
    """Learning curves of an experiment without a file of its own; those of others are what their file draws."""
    return [
        _picture(plot.curves(each.evaluations, each.rows, title=each.title), each.title, CURVES)
        for each in learning.drawn(name, tickets, evaluations)
    ]


def _picture(figure: "Figure", title: str, description: str) -> Picture:
    """The figure as deterministic SVG with text as paths."""
    import matplotlib

    data = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": title, "svg.fonttype": "path"}):
        figure.savefig(data, format="svg", metadata={"Date": None})
    caption = " ".join(description.split()) or title
    return Picture(caption, f"{title}. {caption}", "image/svg+xml", data.getvalue())


def _versions(tickets: pd.DataFrame, runs: Path) -> dict[str, Sequence[str]]:
    """Values of each fact in the results, for dates the first and the last. The store knows all facts, a table machine,
    commit and date; the other versions can be recovered from the commit.
    """
    found = [facts for digest in tickets["digest"].unique() if (facts := _environment(runs / "trained" / digest))]
    if not found:
        found = tickets[["commit", "machine", "date"]].to_dict("records")
    named = [*environment(), *(fact for fact in ("gpu", "driver") if any(fact in facts for facts in found))]
    values = {fact: sorted({str(facts[fact]) for facts in found if fact in facts}) for fact in named}
    return {fact: some if fact != "date" else list(dict.fromkeys([some[0], some[-1]])) for fact, some in values.items()}


def _environment(entry: Path) -> dict[str, str]:
    """Versions, machine and commit that an entry was trained with; nothing if it can't be read."""
    try:
        return dict(read_facts(entry)["environment"])
    except Corrupt:
        return {}
