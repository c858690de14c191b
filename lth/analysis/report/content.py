"""What a page says, gathered: from the lab record, the results, the scorecard and the tables of files."""

import io
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from lth.analysis import registry, scorecard
from lth.analysis.cost import statement
from lth.analysis.report import files
from lth.analysis.report.lab import Record, parse
from lth.analysis.report.markup import Picture
from lth.store import Corrupt, read_result
from lth.store.environment import environment


@dataclass(frozen=True)
class Content:
    """A page before it is one. tickets: the rows of this experiment alone; source: where they are from; versions: fact
    -> values of the trainings; here: fact -> value of the program that makes the page.
    """

    name: str
    record: Record
    tickets: pd.DataFrame
    source: str
    pictures: Sequence[Picture]
    claims: pd.DataFrame
    verdicts: str
    compression: Sequence[tuple[str, files.Blocks]]
    cost: files.Blocks
    versions: dict[str, Sequence[str]]
    here: dict[str, str]
    commands: Sequence[tuple[str, str]]


def gather(name: str, runs: Path, figures: Path) -> Content:
    """All of an experiment; raises FileNotFoundError if there are no results of it."""
    experiment = registry.load(name)
    rows, evaluations = registry.results(experiment, name, runs)
    drawn = registry.figure_of(experiment, name, runs, rows, evaluations)
    record = parse(experiment.__doc__ or name)
    own = rows[rows["experiment"] == name].dropna(axis=1, how="all")
    claims = scorecard.compared([(name, experiment, rows)])
    stored = (runs / "trained" / str(own["digest"].iloc[0])).exists()
    return Content(
        name=name,
        record=record,
        tickets=own,
        source=f"the store under {runs}" if stored else "the results that come with lth",
        pictures=[_picture(drawn, record.title, experiment.draw.__doc__ or ""), *files.pictures(name, figures)],
        claims=claims,
        verdicts=scorecard.counted(claims),
        compression=files.tables(name, figures),
        cost=list(files.blocks(statement.markdown(name, own))),
        versions=_versions(own, runs),
        here=environment(),
        commands=_commands(name, runs, figures),
    )


def _picture(drawn: Figure, title: str, what: str) -> Picture:
    """As SVG, its letters as paths, so that it looks the same everywhere and twice the same."""
    data = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": title, "svg.fonttype": "path"}):
        drawn.savefig(data, format="svg", metadata={"Date": None})
    caption = " ".join(what.split()) or title
    return Picture(caption, f"{title}. {caption}", "image/svg+xml", data.getvalue())


def _versions(tickets: pd.DataFrame, runs: Path) -> dict[str, Sequence[str]]:
    """Of each fact the values that the results name, of dates the first and the last: the store knows all of them, a
    table machine, commit and date.
    """
    found = [facts for digest in tickets["digest"].unique() if (facts := _environment(runs / "trained" / digest))]
    if not found:
        found = tickets[["commit", "machine", "date"]].to_dict("records")
    values = {fact: sorted({str(facts[fact]) for facts in found if fact in facts}) for fact in environment()}
    return {fact: some if fact != "date" else list(dict.fromkeys([some[0], some[-1]])) for fact, some in values.items()}


def _environment(entry: Path) -> dict[str, str]:
    try:
        facts: dict[str, str] = read_result(entry)["environment"]
        return facts
    except Corrupt:
        return {}


def _commands(name: str, runs: Path, figures: Path) -> list[tuple[str, str]]:
    where = "" if str(runs) == "runs" else f" --runs {shlex.quote(str(runs))}"
    beside = "" if str(figures) == "figures" else f" --figures {shlex.quote(str(figures))}"
    return [
        *((f"lth run plan=true experiment={arm}", "what it trains, and what is stored") for arm in registry.arms(name)),
        (f"lth figure {name}{where}", "the figure and its tables"),
        (f"lth cost {name}{where}", "what the trainings cost"),
        (f"lth report {name}{where}{beside}", "this page"),
    ]
