"""Zhou et al. 2019, Figure 3: criteria of the mask, iterative pruning of LeNet-300-100 on MNIST.

Command
    lth figure zhou2019_criteria --run data.root=DIR                    the paper's settings
    lth figure zhou2019_criteria --run scale=reduced data.root=DIR      a tenth of the steps, every fourth level
Expect (the paper's text, Section 2; what it leaves to its figure, as notes of others tell it)
    Large final magnitude and magnitude increase are the best criteria, the second as good as the first or better; large
    initial and final magnitude, and movement, can match the dense net too; the opposite of a criterion that is better
    than random is worse. The paper has n = 5.
Cost
    Full: 25 trainings of 50,380 steps a criterion and replicate, the dense one shared. Reduced: 6 of 5,000.
Result (2026-11-28, in full, except that small initial weights were not run; n = 3, below 2.9% n = 1, mean and standard
    deviation; AMD EPYC, one thread; results/zhou2019_criteria.md)
    Accuracy at early stop, 7.0 and 2.9% of the weights: increase of the size 98.29 (0.01) and 97.81 (0.12)%, large
    final weights 98.18 (0.11) and 97.89 (0.04), movement 98.13 (0.08) and 97.82 (0.11), large initial and final ones
    97.54 (0.15) and 96.13 (0.24), large initial ones 97.01 (0.09) and 95.52 (0.15), random 96.85 (0.10) and 95.43
    (0.12), small initial and final ones 96.01 (0.31) and 85.63 (1.26), small final ones 42.93 (4.17) and 11.35
    (0.00). So the first three are level, movement among them (large final above it by 0.05 (0.19) and 0.08 (0.09)
    points); large initial and final weights are between random ones and movement, 0.59 (0.22) and 1.68 (0.18) points
    below it; large initial ones are hardly better than random; small ones are worse than random, as in the paper, but
    for small initial and final ones at 7.0% not settled (by 0.84 (0.37) points). A rerun of the authors' code by others
    (github.com/bmiselis/deconstructing-lottery-tickets, n = 5) has the same order, and movement 0.63 and 1.50 points
    above large initial and final weights. At 0.5% (n = 1) large final weights have 94.21%, increase and movement 93.1,
    large initial and final ones 62.99, large initial ones 56.42, random 37.19. A tenth of the steps, every fourth level
    (n = 3, no longer in the table), has the same order: at 2.9% 97.72, 97.35 (movement), 97.64 (large final),
    95.47, 93.87, 93.45 (random), 87.56 and 56.26%, and 91.68% for small initial weights.
"""

from functools import partial

import pandas as pd

from lth.analysis import full, plot
from lth.analysis.claim import Claim, between

COST = "25 trainings of 50,380 steps a criterion and replicate, the dense one shared; scale=reduced: 6 of 5,000"
WITH = ("zhou2019_actions",)
FULL = {"lenet_300_100": {"data": "mnist", "steps": 50_380, "batch_size": 60, **full.EVERY_LEVEL}}
TOLD = [  # or follow from what the text tells
    ("magnitude", "random"),
    ("magnitude_increase", "random"),
    ("random", "small_final"),
    ("random", "small_init_small_final"),
]
IN_FIGURE = [
    ("movement", "random"),
    ("large_init_large_final", "random"),
    ("magnitude", "large_init_large_final"),
    ("magnitude", "movement"),
    ("magnitude", "large_init"),
]
OWN = {"experiment": "zhou2019_criteria"}
AGAIN = {"experiment": "zhou2019_actions", "branch": "reinitialize"}
CLAIMS = [
    Claim(f"{percent}%: {better} above {worse}", 0.0, "points",
          partial(between, percent=percent, ours={"criterion": better}, theirs={"criterion": worse}), OWN,
          source=source)
    for source, order in (("paper", TOLD), ("quoted", IN_FIGURE)) for percent in (7.0, 2.9) for better, worse in order
] + [
    Claim(f"{percent}%: magnitude_increase beside magnitude", 0.0, "points",
          partial(between, percent=percent, ours={"criterion": "magnitude_increase"},
                  theirs={"criterion": "magnitude"}), OWN, kind="value")
    for percent in (7.0, 2.9)
] + [
    Claim(f"{percent}%: re-initialized tickets above large_init, pruned at step 0 (Frankle & Carbin 2019, F.4)", 0.0,
          "points", partial(between, percent=percent, ours=AGAIN, theirs={**OWN, "criterion": "large_init"}))
    for percent in (7.0, 2.9)
]  # fmt: skip


def draw(tickets: pd.DataFrame, evaluations: pd.DataFrame) -> "plot.Figure":
    """Accuracy at early stop and early-stop step against percent of weights remaining, a line for each criterion."""
    own = tickets[tickets["experiment"] == "zhou2019_criteria"]
    return plot.sparsity(own, "LeNet-300-100 on MNIST (Zhou et al. 2019, Figure 3)", by=["criterion"], above=0.96)
