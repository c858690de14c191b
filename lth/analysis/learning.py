"""Learning curves of an experiment: a figure of each variant, of the first few if there are many."""

import logging
from dataclasses import dataclass

import pandas as pd

from lth.analysis.plot.labels import short_names

log = logging.getLogger("lth")
MOST = 12  # figures of learning curves; each takes half a second


@dataclass(frozen=True)
class Variant:
    """Rows and evaluations of one configuration; name: what tells it from the others, title: that of its figure."""

    name: str
    title: str
    rows: pd.DataFrame
    evaluations: pd.DataFrame


def drawn(name: str, rows: pd.DataFrame, evaluations: pd.DataFrame) -> list[Variant]:
    """The variants of an experiment whose learning curves are drawn; logs that others are not."""
    groups = [(str(variant), part) for variant, part in rows.groupby(short_names(rows), sort=False)]
    if len(groups) > MOST:
        log.info("learning curves are drawn of the first %d of %d variants", MOST, len(groups))
    return [
        Variant(
            variant,
            f"{name}: {variant}" if variant else name,
            part,
            evaluations[evaluations["digest"].isin(part["digest"])],
        )
        for variant, part in groups[:MOST]
    ]
