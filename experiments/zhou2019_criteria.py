"""Zhou et al. 2019, Figure 3: criteria of the mask, iterative pruning of LeNet-300-100 on MNIST.

Command
    lth figure zhou2019_criteria --run data.root=DIR                    the paper's settings
    lth figure zhou2019_criteria --run scale=reduced data.root=DIR      a tenth of the steps, every fourth level
Expect (the paper's figure; orderings, as notes of others tell them)
    Large final weights and the increase of their size are the best criteria, then large initial and large final
    weights, and movement; small final weights are worse than random ones.
Cost
    Full: 25 trainings of 50,380 steps a criterion and replicate, the dense one shared. Reduced: 6 of 5,000.
Result (2026-11-27, n = 3, mean and standard deviation, REDUCED to a tenth of the steps, every fourth level; AMD EPYC,
    one thread; results/zhou2019_criteria.md)
    Accuracy at early stop, 7.0 and 2.9% of the weights: increase of the size 98.13 (0.12) and 97.72 (0.07)%, large
    final weights 98.12 (0.02) and 97.64 (0.07), movement 97.90 (0.02) and 97.35 (0.25), large initial and final ones
    97.08 (0.11) and 95.47 (0.32), large initial ones 96.09 (0.29) and 93.87 (0.14), random 95.84 (0.10) and 93.45
    (0.10), small initial ones 94.90 (0.15) and 91.68 (0.30), small initial and final ones 94.44 (0.20) and 87.56
    (0.85), small final ones 93.10 (0.28) and 56.26 (8.87): the paper's order. The full settings were not run.
"""

from functools import partial

import pandas as pd

from lth.analysis import full, plot
from lth.analysis.claim import Claim, between

COST = "25 trainings of 50,380 steps a criterion and replicate, the dense one shared; scale=reduced: 6 of 5,000"
FULL = {"lenet_300_100": {"data": "mnist", "steps": 50_380, "batch_size": 60, **full.EVERY_LEVEL}}
ORDER = [
    ("magnitude", "random"),
    ("magnitude_increase", "random"),
    ("movement", "random"),
    ("large_init_large_final", "random"),
    ("magnitude", "movement"),
    ("magnitude", "large_init"),
    ("random", "small_final"),
    ("random", "small_init_small_final"),
]
CLAIMS = [
    Claim(f"{percent}%: {better} above {worse}", 0.0, "points",
          partial(between, percent=percent, ours={"criterion": better}, theirs={"criterion": worse}))
    for percent in (7.0, 2.9) for better, worse in ORDER
]  # fmt: skip


def draw(tickets: pd.DataFrame, evaluations: pd.DataFrame) -> "plot.Figure":
    """Accuracy at early stop and early-stop step against percent of weights remaining, a line for each criterion."""
    return plot.sparsity(tickets, "LeNet-300-100 on MNIST (Zhou et al. 2019, Figure 3)", by=["criterion"])
