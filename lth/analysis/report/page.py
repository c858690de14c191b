"""What was gathered of an experiment -> its page."""

from pathlib import Path
from xml.etree.ElementTree import Element

import pandas as pd

from lth.analysis import plot, summary
from lth.analysis.report.content import Content
from lth.analysis.report.markup import document, element
from lth.analysis.report.section import SECTIONS

# Nothing is loaded and nothing runs, whatever a name or a value in the page may say.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
STYLE = (Path(__file__).parent / "style.css").read_text()


def page(content: Content) -> str:
    """One page of HTML with everything in it; a section that has nothing to say is left out."""
    filled = [(key, title, said) for key, title, fill in SECTIONS if (said := fill(content))]
    links = [element("li", element("a", title, href=f"#{key}")) for key, title, _ in filled]
    sections = [element("section", element("h2", title), *said, id=key) for key, title, said in filled]
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", f"{content.record.title} ({content.name})"),
        element("style", STYLE),
    )
    nav = element("nav", element("ul", *links), aria_label="Sections")
    body = element("body", _top(content), nav, element("main", *sections))
    return document(element("html", head, body, lang="en"))


def _top(content: Content) -> Element:
    name, title = element("p", f"lth report {content.name}", class_="name"), element("h1", content.record.title)
    return element("header", name, title, *_reduced(content.tickets), _overview(content))


def _reduced(tickets: pd.DataFrame) -> list[Element]:
    return [element("p", text, class_="reduced") for text in plot.reductions(tickets)]


def _overview(content: Content) -> Element:
    rows = content.tickets
    facts = {
        "Scale": _scale(rows),
        "n": _n(rows),
        "Results": f"{content.source}; {_dates(rows)}; commit {', '.join(sorted(rows['commit'].unique()))}",
        "Claims": content.verdicts if len(content.claims) else "none",
    }
    return element("dl", *(element("div", element("dt", k), element("dd", v)) for k, v in facts.items()))


def _scale(tickets: pd.DataFrame) -> str:
    if "reduced" not in tickets:
        return "full: nothing in the configuration is reduced"
    whole = int(tickets["reduced"].isna().sum())
    return f"REDUCED: {len(tickets) - whole} of {len(tickets)} trainings are reduced, as said above"


def _n(tickets: pd.DataFrame) -> str:
    """From the least to the most trainings that a number below is the mean of."""
    sizes = tickets.groupby(["branch", summary.variants(tickets), "level"]).size()
    return f"{sizes.min()}" if sizes.min() == sizes.max() else f"{sizes.min()} to {sizes.max()}"


def _dates(tickets: pd.DataFrame) -> str:
    days = sorted(tickets["date"].str[:10].unique())
    return days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
