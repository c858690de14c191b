"""Configurations compared at the same density, within each replicate, so that what replicates share cancels out."""

import math
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from lth import UserError
from lth.analysis.branches import branches, full_branch
from lth.analysis.claim.rows import NEAR, nearest
from lth.analysis.interval import mean_interval
from lth.analysis.markdown import aligned
from lth.analysis.plot.labels import in_order, label, short_names
from lth.analysis.query import SHOWN, condition, digits, scale, title, where
from lth.analysis.summary import with_spread
from lth.analysis.variants import telling

SAME_LEVEL = 1.05  # factor within which two densities are taken for the same level of two schedules
SETUP = ("model", "data", "steps")
COLUMNS = ("configuration", "against", "density", "ours", "theirs", "difference", "spread", "low", "high", "n")


@dataclass(frozen=True)
class Side:
    """One configuration and branch: its name and its rows."""

    name: str
    rows: pd.DataFrame


def sides(table: pd.DataFrame, order: Sequence[str]) -> list[Side]:
    """Every configuration and branch of a table; order: its experiments. Those of the main line come first."""
    parts = [table[table["experiment"] == name] for name in order]
    named = [part.assign(branch=full_branch(part), line=_named(part, len(order) > 1)) for part in parts]
    return [
        Side(label(line, branch), part[(part["line"] == line) & (part["branch"] == branch)].drop(columns="line"))
        for branch in branches(table)
        for part in named
        for line in in_order(part.loc[part["branch"] == branch, "line"])
    ]


def _named(part: pd.DataFrame, several: bool) -> pd.Series:
    """Names of configurations, behind that of the experiment if there are several."""
    line = short_names(part)
    name = str(part["experiment"].iloc[0]) if several else ""
    return pd.Series([", ".join(filter(None, [name, each])) for each in line], part.index, dtype=str)


def baseline(found: Sequence[Side], against: Sequence[str], at: float | None = None) -> Side:
    """The side that meets the conditions `against`, or the first, with a level near a density `at` if one has it.
    Raises UserError unless it is a single one.
    """
    if not against:
        return next((side for side in found if at is None or not nearest(side.rows, 100 * at).empty), found[0])
    rows = where(pd.concat({at: side.rows for at, side in enumerate(found)}), against)
    kept: list[Side] = [found[at] for at in rows.index.unique(0)]
    main = [side for side in kept if (side.rows["branch"] == "ticket").all()] or kept
    if len(main) > 1:
        given, more = f"--against {shlex.join(against)}", f" and {len(main) - SHOWN} more" * (len(main) > SHOWN)
        raise UserError(f"{given}: {len(main)} sides meet it; add one of: {'; '.join(_conditions(main)[:SHOWN])}{more}")
    return main[0]


def _conditions(found: Sequence[Side]) -> list[str]:
    """Options --against, for the shell, that choose each of these sides among them."""
    table = pd.concat([side.rows for side in found])
    columns = [c for c in ("experiment", "branch", *telling(table)) if table[c].nunique(dropna=False) > 1]
    words = [[condition(column, side.rows[column].iloc[0]) for column in columns] for side in found]
    times = Counter(word for each in words for word in each)
    chosen = [next(([word] for word in each if times[word] == 1), each) for each in words]
    return [" ".join(f"--against {shlex.quote(word)}" for word in each) for each in chosen]


def compare(found: Sequence[Side], base: Side, y: str, at: float | None = None) -> pd.DataFrame:
    """One row per side other than the base and density of the base (at: that of its nearest level; default: all): means
    of column y, the mean difference with sample deviation and 95% interval over the replicates that have both, and
    their number n.
    """
    others = [side for side in found if side is not base]
    rows = [row for side in others for row in _rows(side, base, y, at)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def left_out(found: Sequence[Side], base: Side, compared: pd.DataFrame, at: float | None = None) -> list[str]:
    """Names of the sides that had nothing to compare with the base; without `at`, also levels without a counterpart."""
    left = []
    for side in found:
        seen = compared.loc[compared["configuration"] == side.name, "density"]
        levels = side.rows.groupby("level")["density"].mean()
        lost = [str(level) for level, density in levels.items() if not any(math.isclose(density, d) for d in seen)]
        if side is not base and (seen.empty or (at is None and lost)):
            left.append(side.name if seen.empty else f"{side.name} (level {', '.join(lost)})")
    return left


def setups(table: pd.DataFrame, base: Side) -> list[str]:
    """A text for each other experiment whose model, data or steps are others than those of the base's experiment."""
    of = str(base.rows["experiment"].iloc[0])
    held = {name: _setup(part) for name, part in table.groupby("experiment", sort=False)}
    return [
        f"{name} has {', '.join(f'{key}={theirs[key]}' for key in changed)}, {of} "
        f"{', '.join(f'{key}={held[of][key]}' for key in changed)}"
        for name, theirs in held.items()
        if (changed := [key for key in SETUP if theirs[key] != held[of][key]])
    ]


def _setup(part: pd.DataFrame) -> dict[str, str]:
    return {key: " and ".join(map(str, part[key].unique())) for key in SETUP}


def check_near(base: Side, at: float) -> None:
    """Raise UserError unless the baseline has a level of about that density."""
    if nearest(base.rows, 100 * at).empty:
        there = ", ".join(f"{density:.4g}" for density in _densities(base.rows))
        raise UserError(
            f"--at {at:g}: {base.name} has no level within a factor of {NEAR} of it; it has {there}", code=1
        )


def _rows(side: Side, base: Side, y: str, at: float | None) -> Iterator[tuple[object, ...]]:
    seen = set[tuple[int, int]]()  # pairs of levels, since several densities of the base may lead to one
    for density in _densities(base.rows if at is None else nearest(base.rows, 100 * at)):
        ours = nearest(side.rows, 100 * density, SAME_LEVEL)
        theirs = nearest(base.rows, 100 * (density if ours.empty else ours["density"].mean()), SAME_LEVEL)
        one, other = (scale(y) * part.groupby("replicate")[y].mean().dropna() for part in (ours, theirs))
        both = one.index.intersection(other.index)
        if len(both) and (pair := (ours["level"].iloc[0], theirs["level"].iloc[0])) not in seen:
            seen.add(pair)
            yield (side.name, base.name, ours["density"].mean(), one[both].mean(), other[both].mean(),
                   *interval(one[both] - other[both]), len(both))  # fmt: skip


def interval(values: pd.Series) -> tuple[float, float, float, float]:
    """Mean, sample deviation (NaN for one value) and the ends of the 95% interval (NaN where there is none)."""
    low, high = mean_interval(values) or (math.nan, math.nan)
    return float(values.mean()), float(values.std()), low, high


def _densities(rows: pd.DataFrame) -> list[float]:
    return sorted(rows.groupby("level")["density"].mean(), reverse=True)


def markdown(table: pd.DataFrame, y: str) -> str:
    """The comparison as a table for readers."""
    places = digits(y, table["ours"])
    head = ["configuration", "against", "% of weights", title(y), "theirs", "difference", "95% interval", "n"]
    body = [
        [str(r.configuration), str(r.against), f"{100 * r.density:.2f}", f"{r.ours:.{places}f}",
         f"{r.theirs:.{places}f}", with_spread(r.difference, None if r.n == 1 else r.spread, places, sign="+"),
         "" if math.isnan(r.low) else f"{r.low:+.{places}f} to {r.high:+.{places}f}", str(r.n)]
        for r in table.itertuples()
    ]  # fmt: skip
    return aligned([head, *body], left=(0, 1))
