"""Sphinx extension: experiments with their lab records and claims, and docstrings that are prose.

The directive `experiment` shows the lab record of an experiment and its rows of the scorecard.
"""

import re
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from lth.analysis import registry, results
from lth.analysis.cost import statement, strubell2019
from lth.analysis.markdown import aligned
from lth.analysis.report import lab
from lth.analysis.scorecard import counted, scorecard

SHOWN = ["claim", "paper", "source", "ours", "95% interval", "n", "% of weights", "scale", "verdict"]


@cache
def claims() -> pd.DataFrame:
    """The scorecard of the committed results, whatever is stored on this machine."""
    return scorecard(Path("nowhere"))


def rows(name: str) -> str:
    """The claims of an experiment as a markdown table; empty if it has none."""
    table = claims()
    table = table[table["figure"] == name][SHOWN].astype(str)
    return aligned([SHOWN, *table.itertuples(index=False, name=None)], left=range(len(SHOWN))) if len(table) else ""


def shown(name: str) -> str:
    """An experiment as MyST."""
    record = lab.parse(registry.load(name).__doc__ or "")
    parts = [] if results.committed(f"{name}.png") else ["No result is committed."]
    parts += [" ".join(record.about.lines).strip()]
    parts += [f"```sh\n{command}\n```" for command, _ in lab.commands(record.command)]
    for head, part in (("Expected", record.expect), ("Cost", record.cost), ("Result", record.result)):
        note = f" ({part.note})" if part.note else ""
        parts += [f"**{head}**{note}. {escaped(part.prose)}"] if part.prose else []
    return "\n\n".join(part for part in [*parts, rows(name)] if part)


def escaped(text: str) -> str:
    """Prose that markdown leaves as it is."""
    return re.sub(r"([*_<>\[\]|$])", r"\\\1", text)


class Experiment(SphinxDirective):
    """`experiment NAME`."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(str(registry.EXPERIMENTS / f"{self.arguments[0]}.py"))
        return self.parse_text_to_nodes(shown(self.arguments[0]))


class Tally(SphinxDirective):
    """The number of claims with each verdict."""

    def run(self) -> list[nodes.Node]:
        return self.parse_text_to_nodes(counted(claims()))


class Cost(SphinxDirective):
    """A published table of costs, recomputed."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        table = statement.markdown(strubell2019.HEADER, strubell2019.cells(), strubell2019.notes())
        return self.parse_text_to_nodes(table)


def as_pages(app: Sphinx, docname: str, content: list[str]) -> None:
    """Point links to files that are pages of the site to those pages; on a forge they point to the files."""
    for folder in ("experiments/results/", "notebooks/"):
        there = rf"\]\(((?:\.\./)*)\.\./{folder}(\w+\.(?:md|ipynb))"
        content[0] = re.sub(there, rf"](\1{folder.removeprefix('experiments/')}\2", content[0])
    content[0] = re.sub(r"\]\(((?:\.\./)*)\.\./README\.md", r"](\1index.md", content[0])


def as_prose(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Escape what reStructuredText would take for markup: docstrings of lth are prose with `names`."""
    text = "\n".join("".join(map(_plain, re.split(r"(`[^`]*`)", line))) for line in lines)
    lines[:] = [*"\n\n".join(map(_items, text.split("\n\n"))).splitlines(), ""]


def as_written(*given: Any) -> tuple[str, str | None] | None:
    """A signature that can be parsed: a field made by a function has no default to show."""
    signature, returned = given[-2:]
    return signature and (signature.replace("<factory>", "..."), returned)


def _items(paragraph: str) -> str:
    """The paragraph as a list, if its lines are "name: what it is", which may go on in indented lines."""
    if not all(re.match(r"[a-z]\w*: | ", line) for line in paragraph.splitlines()) or paragraph.startswith(" "):
        return paragraph
    return re.sub(r"\n +", "\n  ", re.sub(r"^(?=\S)", "- ", paragraph, flags=re.MULTILINE))


def _plain(text: str) -> str:
    if text.startswith("`"):
        return text
    return re.sub(r"(?<=\w)_(?!\w)", r"\\_", re.sub(r"([|*])", r"\\\1", text))


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directives `experiment`, `tally` and `cost`, and what reads links, docstrings and signatures."""
    app.add_directive("experiment", Experiment)
    app.add_directive("tally", Tally)
    app.add_directive("cost", Cost)
    app.connect("source-read", as_pages)
    app.connect("autodoc-process-docstring", as_prose)
    app.connect("autodoc-process-signature", as_written)
    return {"parallel_read_safe": True}
