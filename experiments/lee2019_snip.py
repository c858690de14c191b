"""Lee et al. 2019: SNIP, single-shot pruning at initialization. LeNet-300-100 and Caffe's LeNet-5 on MNIST.

SNIP: Single-shot Network Pruning based on Connection Sensitivity (arXiv 1810.02340). Scores are |w dL/dw| of one batch
of 100 images, at Gaussian Glorot weights; the paper divides them by their sum, which does not change their order.

Command
    lth figure lee2019_snip --run data.root=DIR                    in full, replicates 1, 2, 3 (the paper: 20 seeds)
    lth figure lee2019_snip --run scale=reduced data.root=DIR      a tenth of the steps, and of those between drops
Expect (the paper's Table 1: error of test images)
    LeNet-300-100: dense 1.7%, 5% of the weights 1.6%, 2% of them 2.4%. Caffe's LeNet-5: dense 0.9%, 2% of the weights
    0.8%, 1% of them 1.1%.
    Unlike in the paper, 5,000 training images are held out for validation, not a tenth, and biases are not pruned,
    which its sparsities count. It does not say for how many steps nets are trained: 250,000 is from memory. Unlike in
    the authors' code, the weights that were scored are trained, not a fresh draw, which Section 5.5 of the paper has
    too, and errors are those of the last step, not of the best of five saved ones, by test images; there, weights are
    N(0, 1 / inputs), truncated at two standard deviations, and plain SGD is the default for both nets. Here LeNet-5 is
    trained with plain SGD, since when dense it diverges with the paper's momentum of 0.9; LeNet-300-100 is trained with
    that momentum.
Cost
    A replicate of LeNet-300-100: three trainings of 250,000 steps, 0.3 ms a step when sparse and 2.8 ms when dense, so
    15 minutes of a core in all; of LeNet-5, at 40 ms a step, eight hours. Reduced: a tenth.
Result (2026-11-29, LeNet-300-100 in full, n = 3, mean and standard deviation; LeNet-5 REDUCED to a tenth of the
    steps, n = 1; AMD EPYC, one thread; results/lee2019_snip.csv)
    Error of test images at the last step: dense 1.35 (0.11)%, 5% of the weights 2.08 (0.11)%, 2% of them 3.07 (0.24)%.
    So dense is better than in the paper, and 5% is 0.7 points worse than dense, not equal. LeNet-5 after 25,000 steps:
    dense 0.96%, 2% of the weights 1.93%, 1% of them 2.58%: as good as the paper's when dense, and 1.1 and 1.5 points
    worse when pruned.
    Tried, with n = 2 (lth run -m experiment=lee2019_snip schedule.density=0.05,0.02 replicate=1,2 name=tries, and the
    override in brackets), error with 5 and 2% of the weights: images scaled to [0, 1] (data.scaling=unit) 2.18 and
    3.15%; without weight decay (optimizer.weight_decay=0) 2.93 and 4.11%; weights drawn anew once pruned
    (branch=[reinitialize]) 1.91 and 3.01%, the only one that comes nearer. Their initialization, pruned biases and
    plain SGD were not tried.
"""

from functools import partial
from typing import Any

import pandas as pd

from lth.analysis import plot
from lth.analysis.claim import FINAL, Claim, between, margin
from lth.analysis.variants import merged

COST = "a replicate: three trainings of LeNet-300-100 and of LeNet-5, 250,000 steps; scale=reduced: a tenth"
FULL = {net: {"data": "mnist", "steps": 250_000, "batch_size": 100} for net in ("lenet_300_100", "lenet_5")}
# (net, percent of the weights) -> error in percent, of the paper's Table 1.
PRINTED = {
    ("lenet_300_100", 100): 1.7,
    ("lenet_300_100", 5): 1.6,
    ("lenet_300_100", 2): 2.4,
    ("lenet_5", 100): 0.9,
    ("lenet_5", 2): 0.8,
    ("lenet_5", 1): 1.1,
}


def _rows(net: str, percent: int) -> dict[str, Any]:
    if percent == 100:
        return {"model": net, "train_from": None}
    # 0.05 is the schedule's default, of which a table without others has no column.
    return {"model": net, "train_from": 1, "schedule.density": (percent / 100, None) if percent == 5 else percent / 100}


CLAIMS = [
    Claim(f"{plot.NAMES[net]}, {percent}% of the weights: error", error, "%",
          partial(margin, limit=100, percent=percent, column=FINAL), _rows(net, percent), kind="error")
    for (net, percent), error in PRINTED.items()
] + [
    Claim("LeNet-300-100, 5% of the weights: accuracy above dense", 0.1, "points",
          partial(between, percent=5, ours=_rows("lenet_300_100", 5), theirs=_rows("lenet_300_100", 100), column=FINAL,
                  their_percent=100), {"model": "lenet_300_100"})
]  # fmt: skip


def draw(tickets: pd.DataFrame, evaluations: pd.DataFrame) -> "plot.Figure":
    """Test accuracy, early in training and in the end, against percent of weights: a line for each net."""
    by_density = tickets["density"].rank(method="dense", ascending=False).astype(int) - 1
    title = "SNIP at initialization, on MNIST (Lee et al. 2019)"
    shown = merged(tickets.assign(level=by_density), ["model"])
    return plot.during(shown, evaluations, [0.1, 1.0], title, by=["model"])
