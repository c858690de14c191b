"""The table that Blalock et al. 2020 ask of every paper (Section 6): both ratios and both accuracies at every level."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from lth.analysis.branches import full_branch
from lth.analysis.claim.rows import is_on
from lth.analysis.markdown import aligned
from lth.analysis.metric import metric
from lth.analysis.plot.labels import label, short_names
from lth.analysis.summary import mean_and_spread
from lth.analysis.variants import only_fresh, some_fresh

HEAD = ("model", "data", "configuration", "level", "compression ratio of prunable weights", "theoretical speed-up")


def markdown(table: pd.DataFrame, chosen: pd.Index | None = None) -> str:
    """A row per model, data set, configuration and level: mean and deviation over replicates and draws of

    - compression ratio: prunable weights of the dense net over those that remain; "-" where a mask is drawn anew for
      every evaluation;
    - theoretical speed-up: multiply-accumulates of the net, by all weights over those by what remains; "-" where
      the mask moved while it was trained, since counts are those of the whole training, and where weights that are
      frozen at a value multiply beside those that remain;
    - the test metric at early stop, and its difference from the dense net of the same replicate, which has the initial
      weights of the main line and of controls that keep them; "-" where level 0 is not dense.

    chosen: the rows that are shown; default: all. Stale ones are not. Raises UserError if no other is left.
    """
    found, rows = metric(table), only_fresh(table)
    chosen = some_fresh(table if chosen is None else table.loc[chosen]).index
    rows = with_ratios(rows).assign(branch=full_branch(rows), line=short_names(rows)).loc[chosen]
    rows = rows.sort_values("gain", kind="stable", key=pd.isna)  # of equal rows one with a dense net
    rows = rows.drop_duplicates(["config", "replicate", "branch", "draw", "level", "digest"])  # shared by experiments
    heads = [*HEAD, f"test {found.title}", "against dense", "n"]
    lines = [[*names, *_cells(part, found.early, found.scale, found.digits)] for names, part in _levels(rows)]
    return aligned([heads, *lines], left=(0, 1, 2))


def with_ratios(table: pd.DataFrame) -> pd.DataFrame:
    """The table with columns compression, speed_up and gain (against the dense net of the replicate); NaN stands for
    "-" of `markdown`.
    """
    column = metric(table).early
    keys = ["experiment", "config", "replicate"]
    first = (table["branch"] == "ticket") & (table["level"] == 0) & (table["remaining"] == table["total"])
    dense = table[first].drop_duplicates(keys)
    theirs = table.merge(dense[[*keys, column]], "left", keys, suffixes=("", "_dense"))[f"{column}_dense"]
    no = pd.Series(False, table.index)
    moved = is_on(table["updater"]) if "updater" in table else no
    more = table["multiplies"].notna() if "multiplies" in table else no
    drawn = table["ones"].notna() if "ones" in table else no  # of a mask that is sampled (lth.supermask.sampled)
    counted = {"macs", "macs_remaining"} <= {*table}  # by a version that counted them
    macs = table["macs"] / table["macs_remaining"] if counted else pd.Series(np.nan, table.index)
    return table.assign(
        compression=(table["total"] / table["remaining"]).where(~drawn, np.nan),
        speed_up=macs.where(~moved & ~more & ~drawn, np.nan),
        gain=table[column] - theirs.to_numpy(),
    )


def _levels(rows: pd.DataFrame) -> Iterator[tuple[list[str], pd.DataFrame]]:
    """The rows of each line of the table, and what names it."""
    for (model, data, line, branch, level), part in rows.groupby(["model", "data", "line", "branch", "level"]):
        yield [model, data, label(line, branch), str(level)], part


def _cells(part: pd.DataFrame, column: str, scale: float, digits: int) -> Sequence[str]:
    ratios = ["-" if part[name].isna().any() else f"{part[name].mean():.2f}" for name in ("compression", "speed_up")]
    gain = "-" if part["gain"].isna().any() else mean_and_spread(scale * part["gain"], digits)
    return [*ratios, mean_and_spread(scale * part[column], digits), gain, str(len(part))]
