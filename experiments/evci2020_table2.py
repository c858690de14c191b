"""Evci et al. 2020, Table 2: LeNet-300-100 on MNIST with 2.5% of its weights, trained sparse from the start by RigL.

Compared with SET (Mocanu et al. 2018), which regrows at random, a static mask, and the dense net, all by one recipe.

Command
    lth figure evci2020_table2 --run data.root=DIR                    in full
    lth figure evci2020_table2 --run scale=reduced data.root=DIR      a tenth of the steps, and of those between updates
Expect (the paper, and the settings of the authors' code)
    RigL from 99% and 89% of the first two layers removed at random: error 1.44% at its best step and 1.48% at the last,
    of test images. After training, neurons without inputs or outputs are removed: 408 inputs, 100 and 69 neurons are
    left, 12.6 thousand floating-point operations for an image. On other nets, RigL above SET above the mask that stays.
Cost
    A replicate: four trainings of 120,000 steps; two to five minutes each on an idle core, the sparse mask that stays
    one to two.
Result (2026-11-27, n = 3, dense 1, mean and standard deviation; AMD EPYC, one thread; results/evci2020_table2.md)
    RigL ends at 98.20 (0.06)% of the test images, an error of 1.80%, 0.32 points above the paper's; at early stop it is
    at 98.27 (0.10). The mask that stays is 0.86 (0.14) points below it. SET is 0.06 (0.09) points above RigL, an order
    that three replicates do not settle. Dense: 98.70% at early stop. Without neurons that have no inputs or no outputs
    left, RigL's nets have 402 to 411 inputs, 121 to 129 and 72 to 76 neurons and 6,342 to 6,382 weights, two operations
    each: 12.7 to 12.8 thousand (by hand); SET's 499, 150 to 154 and 75 to 81. Training, without evaluations, took 251
    billion multiply-accumulates of weights that are there, those of dense gradients included, or 503 billion operations
    (the paper: 482); by SET and the mask that stays 238 billion multiply-accumulates, and 9.6 trillion when dense.
"""

from functools import partial
from typing import Any

import pandas as pd

from lth.analysis import plot
from lth.analysis.claim import FINAL, Claim, between, margin

COST = "a replicate: four trainings of LeNet-300-100 of 120,000 steps; scale=reduced: a tenth"
FULL = {"lenet_300_100": {"data": "mnist", "steps": 120_000, "batch_size": 100}}
PERCENT = 2.5
LENET: dict[str, Any] = {"model": "lenet_300_100"}
RIGL, SET = ({"updater": updater, "train_from": 1} for updater in ("rigl", "set"))
STAYS = {"updater": ("none", None), "train_from": 1}
CLAIMS = [
    # 100% less the accuracy: half a point, which makes two accuracies equal, is a third of this error.
    Claim(f"LeNet-300-100, {PERCENT}%: error of RigL, last step", 1.48, "%",
          partial(margin, limit=100, percent=PERCENT, column=FINAL), {**LENET, "updater": "rigl"}, kind="error"),
    *(
        Claim(f"LeNet-300-100, {PERCENT}%: {above}", 0.0, "points",
              partial(between, percent=PERCENT, ours=ours, theirs=theirs, column=FINAL), LENET, net="ResNet-50")
        for above, ours, theirs in (
            ("RigL above SET", RIGL, SET), ("RigL above the mask that stays", RIGL, STAYS),
            ("SET above the mask that stays", SET, STAYS),
        )
    ),
]  # fmt: skip


def how(row: "pd.Series[str]") -> str:
    """The line that a row belongs to."""
    if row.get("train_from") != 1:
        return "dense"
    return {"rigl": "RigL", "set": "SET"}.get(row.get("updater", ""), "the mask stays")


def draw(tickets: pd.DataFrame, evaluations: pd.DataFrame) -> "plot.Figure":
    """Test accuracy while training."""
    title = "LeNet-300-100 on MNIST, 2.5% of the weights from the start (Evci et al. 2020, Table 2)"
    return plot.curves(evaluations, tickets.assign(how=tickets.apply(how, axis=1)), title=title, by=["how"])
