"""Scorecard: the papers' claims beside our results. Only the papers' numbers are typed by hand."""

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import ModuleType

import pandas as pd

from lth import UserError
from lth.analysis import registry, results
from lth.analysis.claim import Claim, Measured, tally
from lth.analysis.claim.verdict import NOT_COMPARED, RULE
from lth.analysis.full import is_reduced
from lth.analysis.markdown import aligned
from lth.analysis.summary import with_spread

log = logging.getLogger("lth")
Scales = Sequence[tuple[str, pd.DataFrame]]
COLUMNS = ("figure", "claim", "paper", "source", "ours", "95% interval", "n", "% of weights", "scale", "verdict")
PAPERS = ("paper", "in full settings", "in reduced settings", "not run")
NUMBERS = {"n", "% of weights"}
DIRECTION = "more than 0"  # of a claim without a number, as are these, that two are the same
AS_GOOD = ("0 points", "1 times")
SECOND_HAND = ("quoted", "memory")
ORIGINS = ("paper", "authors", *SECOND_HAND)
SOURCES = """\
The source of a claim is the paper (its text, tables and figures), what its authors published beside it ("authors":
code, data, pages), what others quote of it ("quoted"), or our memory of it ("memory"). The last two were not checked
against the paper. Texts say much of pruned nets in general: then the percentage of weights, the limit within which two
are equal and, where it is not the paper's, the net are our choice."""


def scorecard(runs: Path) -> pd.DataFrame:
    """One row per claim of every experiment; from the store under `runs`, else from the committed results."""
    experiments = ((name, registry.load(name)) for name in registry.names())
    claiming = ((name, experiment) for name, experiment in experiments if getattr(experiment, "CLAIMS", ()))
    unstored = set[str]()
    table = compared(
        (name, each, results.tickets(each, name, runs, unstored), results.also(each, runs, unstored))
        for name, each in claiming
    )
    if unstored:
        log.info("nothing is stored under %s of %s, using the committed results; lth figure NAME --run trains your own",
                 runs, ", ".join(sorted(unstored)) if registry.stored(runs) else "any experiment")  # fmt: skip
    return table


def compared(experiments: Iterable[tuple[str, ModuleType, pd.DataFrame, Sequence[pd.DataFrame]]]) -> pd.DataFrame:
    """One row per claim of these: name, experiment, its tickets and those of the experiments it is drawn with, those of
    each experiment in ALSO. FILES of an experiment are claims about its files, SOURCE is where its claims are from (see
    SOURCES; default: the paper).
    """
    rows = []
    for name, experiment, tickets, also in experiments:
        if (source := getattr(experiment, "SOURCE", "paper")) not in ORIGINS:
            raise UserError(f"{name}: SOURCE={source}: choose {', '.join(ORIGINS)}")
        scales = _scales(in_few_blocks(tickets), [*map(in_few_blocks, also)])
        rows += [_row(name, claim, source, scales) for claim in getattr(experiment, "CLAIMS", ())]
        if claims := getattr(experiment, "FILES", ()):
            scales = _scales(_as_trained(results.files(name), tickets), [])
            rows += [_row(name, claim, source, scales) for claim in claims]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def markdown(table: pd.DataFrame) -> str:
    """The scorecard: its sum, whole and by paper, the sources, the rule of verdicts, a table for each paper; and the
    sum as a sentence where a terminal ends.
    """
    left = [i for i, name in enumerate(COLUMNS) if name not in NUMBERS]
    papers, parts = list[tuple[str, ...]](), list[str]()
    for paper, rows in table.groupby(table["figure"].map(_paper), sort=False):
        papers.append((str(paper), *tally.cells(rows["verdict"])))
        lines = [COLUMNS, *rows.astype(str).itertuples(index=False, name=None)]
        parts += [f"## {paper}", counted(rows), aligned(lines, left=left)]
    summary = aligned([PAPERS, *papers], left=(0, 1, 2))
    whole = [*filter(None, [overview(table), qualified(table)])]
    return "\n\n".join([*whole, summary, SOURCES, RULE, *parts, counted(table)])


def _paper(figure: str) -> str:
    return figure.partition("_")[0]


def counted(table: pd.DataFrame) -> str:
    """The number of claims with each verdict, as a sentence, and what there is to know about them."""
    return f"{tally.counted(table['verdict'])} {qualified(table)}".rstrip()


def overview(table: pd.DataFrame) -> str:
    """The number of claims with each verdict, as a table in Markdown."""
    return aligned(tally.overview(table["verdict"]), left=(0,))


def qualified(table: pd.DataFrame) -> str:
    """Sentences on how many of the reproduced claims have a number, and how many of all are second-hand."""
    found = table[table["verdict"] == "reproduced"]
    numbers = int((~found["paper"].isin([DIRECTION, *AS_GOOD])).sum())
    others = int(table["source"].isin(SECOND_HAND).sum())
    orders = len(found) - numbers
    kinds = (
        f"Reproduced claims with a number of the paper: {numbers}; without one, such as an order or that two are the "
        f"same: {orders}."
    )
    quoted = f"Claims that were taken from quotations or from memory, not checked against the paper: {others}."
    return " ".join([*[kinds] * (not found.empty), *[quoted] * bool(others)])


def in_few_blocks(table: pd.DataFrame) -> pd.DataFrame:
    """A copy with one memory block per dtype and text as object columns (each string column is a block of its own);
    pandas selects rows from it three times as fast.
    """
    text = [name for name, kind in table.dtypes.items() if isinstance(kind, pd.StringDtype)]
    return table.astype(dict.fromkeys(text, object)).copy()


def _as_trained(files: pd.DataFrame, tickets: pd.DataFrame) -> pd.DataFrame:
    """The table of files, of which those of a net that was only trained in reduced settings say so too."""
    if files.empty or "reduced" not in tickets:
        return files
    texts = tickets.dropna(subset="reduced").groupby("model")["reduced"].first()
    only = texts.drop(tickets.loc[tickets["reduced"].isna(), "model"].unique(), errors="ignore")
    said = files["reduced"] if "reduced" in files else pd.Series(None, index=files.index, dtype="object")
    return files.assign(reduced=said.fillna(files["model"].map(only)))


def _scales(table: pd.DataFrame, also: Sequence[pd.DataFrame]) -> Scales:
    """The rows at full scale, then those that are reduced, of the longer trainings in `also` before those of `table`.
    They are never in one table.
    """
    full = [("full", each[~is_reduced(each)]) for each in (table, *also)]
    return [*full, *(("reduced", each[is_reduced(each)]) for each in (*also, table))]


def _row(name: str, claim: Claim, source: str, scales: Scales) -> tuple[str | int, ...]:
    try:
        ours, scale = _best(claim, scales)
        scale = "reduced" if scale and claim.net else scale
        verdict = claim.verdict(ours, reduced=scale == "reduced")
    except UserError as error:
        log.warning("%s: '%s' is not compared: %s", name, claim.name, error)
        ours, scale, verdict = None, "", NOT_COMPARED
    return (
        name,
        claim.name,
        f"{claim.paper:g} {claim.unit}" if claim.paper or claim.kind == "value" else DIRECTION,
        claim.source or source,
        _text(ours, claim.unit),
        _interval(ours, share=claim.unit == "%" and claim.kind != "effect"),
        0 if ours is None else ours.n,
        "" if ours is None or ours.percent is None else f"{ours.percent:.2f}",
        scale,
        verdict,
    )


def _best(claim: Claim, scales: Scales) -> tuple[Measured | None, str]:
    """Our number and its scale: full, or reduced if nothing was run in full. Of several tables of a scale the first,
    but a claim over levels takes the one with the fewest weights. Raises UserError if rows can't be compared, such as
    those of several configurations.
    """
    found = [(scale, rows) for scale, table in scales if not table.empty and not (rows := claim.rows(table)).empty]
    found.sort(key=lambda each: (each[0], claim.fewest(each[1])))  # "full" before "reduced"
    measured = ((claim.measure(rows), scale) for scale, rows in found)
    return next((each for each in measured if each[0] is not None), (None, ""))


def _interval(ours: Measured | None, *, share: bool) -> str:
    """The interval; of a share in percent the part between 0 and 100. What is saved, in percent, may be negative."""
    if ours is None or ours.interval is None:
        return ""
    low, high = (min(max(end, 0.0), 100.0) if share else end for end in ours.interval)
    return f"{low:.2f} to {high:.2f}"


def _text(ours: Measured | None, unit: str) -> str:
    return "" if ours is None else f"{with_spread(ours.mean, ours.spread)} {unit}"
