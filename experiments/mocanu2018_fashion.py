"""SET on 2,000 images of Fashion-MNIST, the example of the authors of Mocanu et al. 2018: sparse as good as dense.

Command
    lth figure mocanu2018_fashion --run replicate=1,2,3,4,5 data.root=DIR
    lth figure mocanu2018_fashion --run scale=reduced data.root=DIR      a tenth of the steps
Expect (the authors' result files, five seeds, accuracy at the end; their 1,000 test images)
    Dense 81.98 (0.26)%, a random mask that stays 80.60 (0.61)%, SET 82.56 (0.91)%: SET is above the mask that stays,
    and not distinguishable from dense. The paper has all images and other settings; its nets lose the smallest weights
    once more when training ends, ours do not.
Cost
    A replicate: three trainings of 20,000 steps of a net of 2.8 million weights, five to ten minutes each on a core.
Result (not run: Fashion-MNIST was not at hand)
"""

from functools import partial
from typing import Any

import pandas as pd

from lth.analysis import plot
from lth.analysis.claim import FINAL, Claim, between, value

SOURCE = "authors"
COST = "a replicate: three trainings of 20,000 steps; scale=reduced: a tenth"
FULL = {"mlp": {"data": "fashion_mnist[:2000]", "steps": 20_000, "batch_size": 40}}
PERCENT = 3.05
MLP: dict[str, Any] = {"model": "mlp"}
SET, DENSE = {"updater": "set"}, {"train_from": None}
STATIC = {"updater": (None, "none"), "train_from": 1}  # a table without other updaters has no such column


def _value(name: str, paper: float, where: dict[str, Any], percent: float) -> Claim:
    measure = partial(value, percent=percent, column=FINAL)
    return Claim(f"Fashion-MNIST, 2,000 images: accuracy, {name}", paper, "%", measure, {**MLP, **where}, kind="value")


CLAIMS = [
    _value("SET", 82.56, SET, PERCENT),
    _value("a random mask that stays", 80.60, STATIC, PERCENT),
    _value("dense", 81.98, DENSE, 100),
    Claim("Fashion-MNIST, 2,000 images: SET above a random mask that stays", 1.96, "points",
          partial(between, percent=PERCENT, ours=SET, theirs=STATIC, column=FINAL), MLP),
]  # fmt: skip


def how(row: "pd.Series[str]") -> str:
    """The line that a row belongs to."""
    if row.get("train_from") != 1:
        return "dense"
    return "SET" if row.get("updater") == "set" else "the mask stays"


def draw(tickets: pd.DataFrame, evaluations: pd.DataFrame) -> "plot.Figure":
    """Test accuracy while training."""
    data = ", ".join(sorted(tickets["data"].unique()))
    title = f"SET, 784-1000-1000-1000-10 on {data} (Mocanu et al. 2018)"
    return plot.curves(evaluations, tickets.assign(how=tickets.apply(how, axis=1)), title=title, by=["how"])
