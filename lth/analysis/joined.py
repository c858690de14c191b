"""Committed results and stored ones of one experiment as one table."""

import logging
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from lth.analysis.variants import variants
from lth.store.columns import COMPARED
from lth.store.defaults import filled
from lth.store.table import as_text

log = logging.getLogger("lth")
Tables = tuple[pd.DataFrame, pd.DataFrame]  # tickets and evaluations


def joined(name: str, runs: Path, stored: Tables, committed: Tables, *, own_code: bool) -> Tables:
    """The committed results, but for replicates of which the same configuration has some under `runs`, and these:
    levels of two machines are never mixed into one ladder. A training that both have done, such as the dense net of
    several configurations, is two: the digest of the committed one has its commit. own_code: functions of the user's
    own, whose code is in no column, took part, so that only equal digests are of one configuration.
    """
    (rows, evaluations), (kept, curves) = stored, committed
    if kept.empty or rows.empty or _has_all(kept, rows):
        return stored if kept.empty else committed
    kept = kept if own_code else _by_our_digests(name, kept, rows)
    ladder = [key for key in ("config", "replicate") if key in kept]
    kept = kept[~_values(kept, ladder).isin(_values(rows, ladder))]
    trained = ["replicate", "branch", "draw", "level", "digest"]
    curves = curves[_values(curves, trained).isin(_values(kept, trained))]
    log.info("%s: %d results under %s, %d committed ones", name, len(rows), runs, len(kept))
    same = _values(kept, ["digest", "date"]).isin(_values(rows, ["digest", "date"]))
    again = kept[kept["digest"].isin(rows["digest"]) & ~same]
    named = {each.digest: f"{each.digest}-{each.commit}" for each in again.itertuples()}
    kept, curves = (each.assign(digest=each["digest"].replace(named)) for each in (kept, curves))
    whole = ([kept, rows], [curves, evaluations])
    tickets, evaluations = (as_text(pd.concat(parts, ignore_index=True)) for parts in whole)
    return tickets, evaluations


def _has_all(kept: pd.DataFrame, rows: pd.DataFrame) -> bool:
    """True if every stored training, and all that was compared of them, is among the committed ones."""
    both, measured = kept[kept["digest"].isin(rows["digest"])], [*COMPARED]
    known, stored_ = (each.reindex(columns=measured).notna().to_numpy().sum() for each in (both, rows))
    return bool({*kept["digest"]} >= {*rows["digest"]} and known >= stored_)


def _by_our_digests(name: str, kept: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """The committed rows, by the digests of their configurations in the stored ones, which another version of lth may
    have made. Configurations are the same if no column tells them apart; where several digests are, none is changed.
    """
    if "config" not in kept or "config" not in rows:
        return kept
    both = filled(pd.concat([kept, rows], ignore_index=True).drop(columns="config"))
    labels, n = variants(both).to_numpy(), len(kept)
    theirs, ours = kept.groupby(labels[:n])["config"].unique(), rows.groupby(labels[n:])["config"].unique()
    same = {t[0]: ours[label][0] for label, t in theirs.items() if len(t) == 1 and len(ours.get(label, ())) == 1}
    for old, new in same.items():
        if old != new:
            log.info("%s: the committed configuration %s has the settings of %s, and joins it", name, old, new)
    return kept.assign(config=kept["config"].replace(same))


def _values(table: pd.DataFrame, columns: Sequence[str]) -> pd.Series:
    """The values of some columns of each row, as a tuple that can be compared with that of another table."""
    return pd.Series([*table[[*columns]].itertuples(index=False, name=None)], table.index, dtype=object)
