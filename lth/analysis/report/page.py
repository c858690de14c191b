"""Content of an experiment -> its page."""

from pathlib import Path

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from lth.analysis import plot
from lth.analysis.branches import full_branch
from lth.analysis.report.content import Content
from lth.analysis.report.sections import sections
from lth.analysis.variants import variants


def templates() -> Environment:
    """The templates of this folder; whatever is put into them is escaped."""
    folder = FileSystemLoader(Path(__file__).parent)
    return Environment(
        loader=folder, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        keep_trailing_newline=True,
    )  # fmt: skip


def page(content: Content) -> str:
    """One page of HTML with everything in it; a section without content is left out."""
    template = templates().get_template("page.html")
    return template.render(
        name=content.name,
        title=content.record.title,
        reduced=plot.reductions(content.tickets),
        overview=_overview(content),
        sections=sections(content),
    )


def _overview(content: Content) -> list[tuple[str, str]]:
    rows = content.tickets
    return [
        ("Scale", _scale(rows)),
        ("n", _n(rows)),
        ("Results", f"{content.source}; {_dates(rows)}; commit {', '.join(sorted(rows['commit'].unique()))}"),
        ("Claims", content.verdicts if len(content.claims) else "none"),
    ]


def _scale(tickets: pd.DataFrame) -> str:
    if "reduced" not in tickets:
        return "full: nothing in the configuration is reduced"
    full = int(tickets["reduced"].isna().sum())
    return f"REDUCED: {len(tickets) - full} of {len(tickets)} trainings are reduced, as stated above"


def _n(tickets: pd.DataFrame) -> str:
    """Least and most trainings that a number of the tables is the mean of."""
    sizes = tickets.groupby([full_branch(tickets), variants(tickets), tickets["level"]]).size()
    return f"{sizes.min()}" if sizes.min() == sizes.max() else f"{sizes.min()} to {sizes.max()}"


def _dates(tickets: pd.DataFrame) -> str:
    days = sorted(tickets["date"].str[:10].unique())
    return days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
