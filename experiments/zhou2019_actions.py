"""Zhou et al. 2019, Figures 4 and 5: other weights in the mask, their signs, and pruned weights that are not 0.

LeNet-300-100 on MNIST.

Command
    lth figure zhou2019_actions --run data.root=DIR                    the paper's steps and levels
    lth figure zhou2019_actions --run scale=reduced data.root=DIR      a tenth of the steps, every fourth level
Expect (the paper's text, Sections 3 and 4, which names no percentages: 7.0 and 2.9% are our choice)
    Weights that are drawn anew, permuted or constant train worse than the rewound ones, and better if they keep the
    signs of the initial weights. Pruned weights that are frozen at their initial values do clearly worse than 0, except
    perhaps where most are pruned; frozen only if they grew in training, and else 0, they do as well, and better where
    most are pruned; with the same rule for weights that remain, better still.
    In the paper every action prunes a ladder of its own; here all of them train within the masks of the rewound
    tickets, where nearly all weights that remain have grown, so that the last rule changes nothing. "Drawn anew" means
    a fresh draw here and in the paper's text; its code permutes the layer's initial weights. The paper has n = 5.
Cost
    Full: 25 trainings of 50,380 steps and 54 more of branches a replicate. Reduced: 7 of 5,000 and 54.
Result (2026-11-30; AMD EPYC, one thread; results/zhou2019_actions.md)
    n = 5 down to 2.9% of the weights at levels 12 and 16 (replicates 2 to 5: levels=16 and branch.NAME.levels=[12,16]),
    elsewhere n = 1. Accuracy at early stop, 7.0 and 2.9% of the weights: tickets 98.22 (0.10) and 97.85 (0.12)%. With
    their signs kept, weights drawn anew have 98.13 (0.14) and 97.69 (0.10)%, permuted 98.16 (0.09) and 97.72 (0.13),
    constant 98.20 (0.08) and 97.75 (0.04); without them 97.46 (0.04) and 96.86 (0.15), 97.58 (0.12) and 96.86 (0.19),
    97.45 (0.12) and 96.68 (0.15). So all orders of signs reproduce. Pruned weights that are frozen at their initial
    values cost 0.26 (0.14) points at 7.0% and 0.23 (0.07) at 2.9%, from which on all remaining weights have grown, so
    that the two ways of freezing by growth are one training. Frozen only if they grew they add 0.10 (0.06) points
    to the ticket at 7.0%, and at 2.9% 0.11 (0.12), which is not settled; that this is above freezing all of them, by
    0.36 (0.12) and 0.33 (0.12), reproduces. At 0.5% (n = 1) both ways of freezing are above setting them to 0, by 0.4
    and 1.7 points, and permuted weights without signs above re-initialized ones by 4.6. A tenth of the steps, every
    fourth level (n = 1, no longer in the table), showed the same orders at 7.0 and 2.9%.
"""

from functools import partial

import pandas as pd

from lth.analysis import full, plot
from lth.analysis.claim import Claim, gain

COST = "25 trainings of 50,380 steps and 54 more of branches a replicate; scale=reduced: 7 of 5,000 and 54"
FULL = {"lenet_300_100": {"data": "mnist", "steps": 50_380, "batch_size": 60, **full.EVERY_LEVEL}}
ABOVE = [
    ("signed_reinitialize", "reinitialize"),
    ("signed_reshuffle", "reshuffle"),
    ("signed_constant", "constant"),
    ("ticket", "reinitialize"),
    ("ticket", "reshuffle"),
    ("ticket", "constant"),
    ("ticket", "freeze"),
    ("freeze_growing", "ticket"),
    ("freeze_growing_all", "ticket"),
    ("freeze_growing", "freeze"),
    ("freeze_growing_all", "freeze"),
    ("freeze_growing_all", "freeze_growing"),
]
# At 2.9% all weights that remain have grown: the trainings are those of "freeze_growing".
SAME = {2.9: ("freeze_growing_all",)}
CLAIMS = [
    Claim(f"{percent}%: {plot.LABELS.get(better, better)} above {plot.LABELS.get(worse, worse)}", 0.0, "points",
          partial(gain, percent=percent, of=better, than=worse))
    for percent in (7.0, 2.9) for better, worse in ABOVE if better not in SAME.get(percent, ())
] + [
    Claim(f"{percent}%: initial weights permuted beside drawn anew (Frankle & Carbin 2019, F.3)", 0.0, "points",
          partial(gain, percent=percent, of="reshuffle", than="reinitialize"), kind="value")
    for percent in (7.0, 2.9)
]  # fmt: skip


def draw(tickets: pd.DataFrame, evaluations: pd.DataFrame) -> "plot.Figure":
    """Accuracy at early stop and early-stop step against percent of weights remaining, a line for each branch."""
    return plot.sparsity(
        tickets, "LeNet-300-100 on MNIST (Zhou et al. 2019, Figures 4 and 5)", by=["model"], above=0.97
    )
