"""Frankle et al. 2020, Figures 2 to 5: instability to SGD noise of dense and sparse nets, by linear interpolation.

Linear Mode Connectivity and the Lottery Ticket Hypothesis (arXiv 1912.05671). Children of one W_k differ in data order
(and augmentation) alone; the instability is the highest error on the line between two minus the mean of theirs. Here
every layer of LeNet is pruned by 20% a level, the output too; the authors' later code prunes over the whole net, and
leaves the output whole.

Command
    lth figure frankle2020_connectivity --run data.root=DIR                    LeNet-300-100 and ResNet-20 in full
    lth figure frankle2020_connectivity --run scale=reduced data.root=DIR      a tenth and a thirtieth of the steps
Expect (the paper, as quoted by others; 3 initializations x 3 orders; stable: below 2 points; matching: within 0.2)
    LeNet is stable at k = 0, dense and at 3.5% of the weights, also with a shuffled mask and re-initialized. ResNet-20
    is not stable at k = 0, where the line passes through chance, and is from k = 2,000 on (3% of the steps).
Cost
    LeNet in full, a replicate: 26 trainings of 24,000 steps at k = 0 and about as many for each further k, 33 seconds
    each when dense on an idle core, less when sparse. ResNet-20: 13 of 63,000 steps a k; reduced, 3 of 2,000 or of
    1,500 at k = 500, which stands for 2,000.
Result (2026-11-29, LeNet-300-100 in full with three pairs of children each, n = 3, mean and standard deviation; AMD
    EPYC, one thread; results/frankle2020_connectivity.csv)
    At k = 0 the instability is 0.90 (0.09) points dense, 0.04 (0.02) of the ticket of 3.5%, 1.08 (0.56) re-initialized
    and 3.50 (1.54) with a shuffled mask, which is not stable here. An independent plain PyTorch loop found 4.02 and
    3.77 points for such random masks, and 1.17 if a fifth of the output layer is kept, as when it is pruned at half the
    rate (by hand): here only 35 weights remain in the output layer to be shuffled. Later, dense nets become more
    stable, 0.53 (0.45) points at k = 25, 0.34 (0.08) at 50 and 0.06 (0.08) at 1,000; tickets have 0.03 to 0.07 at every
    k. Controls do not settle: at k above 0 re-initialized ones have 0.7 to 2.2 points, shuffled masks 0.9 to 4.0.
    ResNet-20, REDUCED to a thirtieth of the steps, dense, two children of each k, n = 1, 77.3 to 77.4% accurate: those
    of W_0 disagree in 19.7% of the images, and the instability is 33.2 points, with 59.3% errors half-way; those of
    W_500 disagree in 13.5%, and the instability is 0.7 points: not stable at first, and stable later, as in the paper.
"""

from functools import partial

import pandas as pd

from lth.analysis import plot
from lth.analysis.claim import FINAL, Claim, lowest, margin

COST = "LeNet, a replicate and k: 26 trainings of 24,000 steps; ResNet-20 13 of 63,000; reduced: a tenth, a thirtieth"
FULL = {
    "lenet_300_100": {"data": "mnist", "steps": 24_000, "batch_size": 60, "levels": None},
    "resnet_20": {"data": "cifar10", "steps": 63_000, "batch_size": 128, "levels": None},
}
STABLE, MATCHING = 2.0, 0.2  # points of error
NAMED = {
    "connect": "same mask and weights",
    "connect_shuffle": "shuffled mask",
    "connect_reinitialize": "random reinit",
}


def _net(model: str, k: int) -> dict[str, object]:
    at: dict[int, int | tuple[int | None, ...]] = {0: (None, 0), 2000: (2000, 500)}  # 500: in reduced settings
    return {"model": model, "rewind.step": at.get(k, k)}  # a table without other k has no such column


def _stable(model: str, k: int, percent: float, branch: str = "connect", *, of: str) -> Claim:
    return Claim(
        f"{plot.NAMES[model]}, k = {k}, {of}: instability below {STABLE:g} points by",
        0.0,
        "points",
        partial(margin, limit=STABLE, percent=percent, column="barrier", branch=branch),
        _net(model, k),
    )


CLAIMS = [
    _stable("lenet_300_100", 0, 100, of="dense"),
    _stable("lenet_300_100", 0, 3.5, of="ticket of 3.5%"),
    _stable("lenet_300_100", 0, 3.5, "connect_shuffle", of="shuffled mask, 3.5%"),
    _stable("lenet_300_100", 0, 3.5, "connect_reinitialize", of="random reinit, 3.5%"),
    Claim(f"LeNet-300-100, k = 0: at most {MATCHING} points lost (matching) down to", 3.5, "% of weights",
          partial(lowest, column=FINAL, slack=MATCHING), _net("lenet_300_100", 0), kind="lowest"),
    *(
        _stable("lenet_300_100", k, percent, of=of)
        for k in (25, 50, 100, 250, 500, 1000) for percent, of in ((100, "dense"), (3.5, "ticket of 3.5%"))
    ),
    Claim("ResNet-20, k = 0, dense: instability above 2 points by", 0.0, "points",
          partial(margin, limit=STABLE, percent=100, column="barrier", branch="connect", above=True),
          _net("resnet_20", 0)),
    _stable("resnet_20", 2000, 100, of="dense"),
]  # fmt: skip


def draw(tickets: pd.DataFrame, evaluations: pd.DataFrame) -> "plot.Figure":
    """Instability against k, and the test error on the line between two children."""
    title = "Children of one $W_k$ that differ in SGD noise (Frankle et al. 2020, Figures 2 to 5)"
    return plot.connectivity(tickets, title, NAMED)
