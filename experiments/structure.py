"""Connections, 2:4 or neurons: accuracy lost at equal density, and speed gained on real hardware.

No figure of a paper: it measures the common warning that pruning is hard to make fast on parallel hardware. Whole
filters by L1 norm are from Li et al. 2017, 2:4 from Mishra et al. 2021, whose abstract claims that accuracy stays.

Command
    lth figure structure --run data.root=DIR
    lth figure structure --run scale=reduced data.root=DIR      a fifth of the steps; then, on an idle machine:
    lth layout experiment=structure,structure/neurons,structure/two_of_four,structure/resnet_20 replicate=1,2,3
Expect
    At equal density, single connections lose less than whole neurons, and 2:4 is in between (Mishra et al.: no loss).
    Only the smaller dense net is faster at any batch size; single connections are faster only if few remain and the
    batch is large.
Cost
    A replicate of LeNet-300-100: a training of 20,000 steps, five fine-tunings of 10,000, about a minute and a half. Of
    ResNet-20, for the speed of the pruned net: 400 and 133 steps, two to three minutes.
Result (2026-11-30, LeNet-300-100 n = 6, speeds n = 3, mean (deviation); Intel Xeon and AMD EPYC, one thread;
    results/structure.md, structure_layouts.md)
    At 50% of the weights, connections have 98.46 (0.11)%, 2:4 98.30 (0.07)%, neurons 98.27 (0.10)%, dense 98.45
    (0.07)%; at 10%, connections 97.40 (0.20)%, neurons 95.71 (0.27)%. So at 50% connections lose 0.19 (0.12) points
    less than neurons, and 2:4, 0.15 (0.04) points below dense, is not between them but level with neurons: above them
    by 0.03 (0.10) points, which is not settled. Stored with their zeros, all are as slow as the dense net. As sparse
    rows (CSR), connections run at 0.60 (0.01) times its speed at 50% and 2.05 (0.03) times at 10%, at batch 128, and
    slower at batch 1. Without the removed neurons, the net is 2.07 (0.02) times faster at half of its parameters and
    5.79 (0.05) times at a tenth. 2:4 has no kernel on a CPU. ResNet-20, n = 1, REDUCED to 400 of 30,000 steps, without
    half of its weights is 1.36 times faster.
    Tried for 2:4 (2026-11-27, n = 3, AMD EPYC, where it is 0.15 (0.03) points below dense): trained again for all
    20,000 steps from the trained weights, as Mishra et al. do, from memory (lth run -m experiment=structure/two_of_four
    name=two_of_four rewind=learning_rate ~rewind.steps replicate=1,2,3), it equals dense, -0.06 (0.11); from the
    initial ones (rewind=weights) -0.13 (0.07); fine-tuned on inputs in [0, 1] (data.scaling=unit) -0.25 (0.03). So what
    is missing is the length of training.
"""

from functools import partial

import pandas as pd

from lth.analysis import full, plot
from lth.analysis.claim import FINAL, Claim, gain

SOURCE = "quoted"
COST = "a replicate: LeNet-300-100 20,000 steps and 5 fine-tunings of 10,000; ResNet-20 400 steps and 133"
FULL = {"lenet_300_100": {"data": "mnist", "steps": 20_000, "batch_size": 60}, **full.frankle2019("resnet_20")}
LENET = {"model": "lenet_300_100"}
SLACK = 0.1  # points, ten of 10,000 test images: within them accuracies of this net count as equal
HOW = {"weight": "connections", "neuron": "whole neurons", "n_of_m": "2:4"}


CLAIMS = [
    Claim(f"LeNet-300-100, 50%: 2:4 less than {SLACK} points below dense, by", 0.0, "points",
          partial(gain, percent=50, column=FINAL, slack=SLACK), {**LENET, "structure": "n_of_m"}, net="ResNet-50")
]  # fmt: skip


def how(row: "pd.Series[str]") -> str:
    """The line that a row belongs to."""
    return HOW[row["structure"]] if row["model"] == LENET["model"] else "whole filters of ResNet-20"


def draw(tickets: pd.DataFrame, evaluations: pd.DataFrame) -> "plot.Figure":
    """Accuracy lost against percent of weights pruned away."""
    title = "Connections, 2:4 or whole neurons removed, then fine-tuned"
    return plot.loss(tickets.assign(how=tickets.apply(how, axis=1)), title, by=["how"], panels="experiment")
