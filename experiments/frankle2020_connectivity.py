"""Frankle et al. 2020, Figures 2 to 5: instability to SGD noise of dense and sparse nets, by linear interpolation.

Linear Mode Connectivity and the Lottery Ticket Hypothesis (arXiv 1912.05671). Children of one W_k differ in data order
(and augmentation) alone; the instability is the highest error on the line between two minus the mean of theirs. All
layers of LeNet are pruned together, as in the paper, and in another arm each by itself, by 20% a level, the output too;
the authors' later code leaves the output whole.

Command
    lth figure frankle2020_connectivity --run data.root=DIR                    LeNet-300-100 and ResNet-20 in full
    lth figure frankle2020_connectivity --run scale=reduced data.root=DIR      a tenth and a thirtieth of the steps
Expect (the paper's text where it was found, else as quoted by others; 3 initializations x 3 orders)
    Stable is below 2 points, matching within 0.2, at k = 0 perhaps within a standard deviation. LeNet is stable at k =
    0, dense and at 3.5% of the weights, also with a shuffled mask and re-initialized. ResNet-20 is not stable at k = 0,
    where the line passes through chance, and is from k = 2,000 on (3% of the steps).
Cost
    LeNet in full, a replicate: 26 trainings of 24,000 steps at each k, 24 of them with each layer pruned by itself, 33
    to 70 seconds each when dense on an idle core, less when sparse. ResNet-20: 13 of 63,000 steps a k; reduced, 3 of
    2,000 or of 1,500 at k = 500, which stands for 2,000.
Result (2026-12-01, LeNet-300-100 in full with three pairs of children each, n = 3, mean and
    standard deviation; AMD EPYC, one thread; results/frankle2020_connectivity.csv)
    Everything is stable, as in the paper. At k = 0 the instability is 0.90 (0.13) points dense, 0.07 (0.01) of the
    ticket of 3.5%, 0.54 (0.39) re-initialized and 0.66 (0.28) with a shuffled mask, and the ticket is as accurate as
    the dense net (98.28 and 97.81% at the end). Later, dense nets become more stable, 0.51 (0.46) points at k = 25,
    0.36 (0.04) at 50, 0.20 (0.10) at 100 and 0.07 to 0.12 from 250 on; tickets have 0.04 to 0.13 at every k,
    re-initialized ones 0.34 to 0.69 and shuffled masks 0.51 to 0.78.
    With each layer pruned by itself, at k = 0, tickets have 0.04 (0.02), re-initialized ones 1.08 (0.56) and shuffled
    masks 3.50 (1.54), which so are not stable on average: only 35 weights remain in the output layer to be shuffled (n
    = 3). An independent plain PyTorch loop found 4.02 and 3.77 points for such random masks, and 1.17 if a fifth of the
    output layer is kept, as when it is pruned at half the rate (by hand).
    ResNet-20, REDUCED to a thirtieth of the steps, dense, two children of each k, n = 1, 77.3 to 77.4% accurate: those
    of W_0 disagree in 19.7% of the images, and the instability is 33.2 points, with 59.3% errors half-way; those of
    W_500 disagree in 13.5%, and the instability is 0.7 points: not stable at first, and stable later, as in the paper.
"""

from collections.abc import Mapping
from functools import partial
from math import inf
from typing import Any

import pandas as pd

from lth.analysis import plot
from lth.analysis.claim import FINAL, Claim, Measured, lowest, margin

COST = "LeNet, a replicate and k: 26 trainings of 24,000 steps; ResNet-20 13 of 63,000; reduced: a tenth, a thirtieth"
SOURCE = "quoted"
FULL = {
    "lenet_300_100": {"data": "mnist", "steps": 24_000, "batch_size": 60, "levels": None},
    "resnet_20": {"data": "cifar10", "steps": 63_000, "batch_size": 128, "levels": None},
}
STABLE, MATCHING = 2.0, 0.2  # points of error
K = "rewind.step"  # a table without other k than 0 has no such column
Rows = Mapping[str, object]
RESNET = {"model": "resnet_20", K: (None, 0)}
LENET = {**RESNET, "model": "lenet_300_100", "distribution": "globally"}
LATER = {**LENET, K: (25, 50, 100, 250, 500, 1000)}
NAMED = {
    "connect": "same mask and weights",
    "connect_shuffle": "shuffled mask",
    "connect_reinitialize": "random reinit",
}


def _least(rows: pd.DataFrame, **at: Any) -> Measured | None:
    """`margin` at the k at which its interval begins lowest; None unless every k was run."""
    found = [part for _, rows in rows.groupby(K) if (part := margin(rows, **at))]
    return min(found, key=lambda each: each.interval or (-inf,)) if len(found) == len(LATER[K]) else None


def _stable(
    where: str, rows: Rows, percent: float, branch: str = "connect", measure: Any = margin, **more: str
) -> Claim:
    measure = partial(measure, limit=STABLE, percent=percent, column="barrier", branch=branch)
    return Claim(f"{where}: instability below {STABLE:g} points by", 0.0, "points", measure, rows, **more)


CLAIMS = [
    _stable("LeNet-300-100, k = 0, dense", LENET, 100, source="paper"),
    _stable("LeNet-300-100, k = 0, ticket of 3.5%", LENET, 3.5, source="paper"),
    _stable("LeNet-300-100, k = 0, shuffled mask, 3.5%", LENET, 3.5, "connect_shuffle"),
    _stable("LeNet-300-100, k = 0, random reinit, 3.5%", LENET, 3.5, "connect_reinitialize"),
    Claim(f"LeNet-300-100, k = 0: at most {MATCHING} points lost (matching) down to", 3.5, "% of weights",
          partial(lowest, column=FINAL, slack=MATCHING), LENET, kind="lowest"),
    _stable("LeNet-300-100, every k from 25 to 1,000, dense", LATER, 100, measure=_least),
    _stable("LeNet-300-100, every k from 25 to 1,000, ticket of 3.5%", LATER, 3.5, measure=_least),
    Claim("ResNet-20, k = 0, dense: instability above 2 points by", 0.0, "points",
          partial(margin, limit=STABLE, percent=100, column="barrier", branch="connect", above=True), RESNET,
          source="paper"),
    _stable("ResNet-20, k = 2,000 of 63,000 (reduced: 500 of 2,000), dense", {**RESNET, K: (2000, 500)}, 100),
]  # fmt: skip


def draw(tickets: pd.DataFrame, evaluations: pd.DataFrame) -> "plot.Figure":
    """Instability against k, and the test error on the line between two children."""
    title = "Children of one $W_k$ that differ in SGD noise (Frankle et al. 2020, Figures 2 to 5)"
    by_layer = (tickets["distribution"] == "by_kind") & (tickets["model"] == "lenet_300_100")
    renamed = {branch: f"{plot.LABELS.get(branch, branch)}, pruned by layer" for branch in NAMED}
    named = NAMED | {renamed[branch]: f"{name}, pruned by layer" for branch, name in NAMED.items()}
    shown = tickets.assign(branch=tickets["branch"].mask(by_layer, tickets["branch"].replace(renamed)))
    return plot.connectivity(shown.drop(columns="distribution"), title, named)
