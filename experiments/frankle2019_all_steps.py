"""Frankle & Carbin 2019, Conv-2 of Figure 5 on CIFAR-10 in all of its 20,000 steps, at two of its levels.

Command
    lth figure frankle2019_all_steps --run data.root=DIR                    the paper's settings
    lth figure frankle2019_all_steps --run scale=reduced precision=bf16 threads=2 replicate=1 data.root=DIR
Expect (the paper)
    As in Figure 5: at 8.8% of the weights Conv-2 stops 3.5 times earlier than the dense net, at 4.6% it is 3.4 points
    more accurate; all tickets down to 2% are better than the dense net.
Cost
    Full, a replicate: the tickets of frankle2019_fig5, which are shared with it. Reduced: 3 trainings of 20,000 steps,
    26 to 37 minutes each on two cores of an AMD EPYC with AVX-512.
Result (2026-11-30, n = 1, REDUCED to two levels, 33.0 and 8.8% of the weights, evaluated every 400 steps (the paper:
    100); results/frankle2019_all_steps.md)
    The dense net stops at step 3,600 with 70.32%, the tickets at steps 2,000 and 2,800 with 70.48 and 69.21%; 70.68%,
    71.10 and 69.50% on the validation set. So 8.8% is 1.29 times earlier (the paper: 3.5) and 1.11 points less
    accurate. At the last step all are at 69.2 to 69.9%, and at 99.8% of the training set or more. Figure 5's fifth of
    the steps held all early stops already: what keeps the gains from reproducing is not the number of steps. Our dense
    net is 3.1 points better than the paper's (67.6% on the validation set), which leaves pruning less to gain.
"""

import pandas as pd

from lth.analysis import full, plot

COST = "a replicate: 21 trainings of 20,000 steps; scale=reduced: 3"
FULL = full.frankle2019("conv_2", **full.EVERY_LEVEL)


def draw(tickets: pd.DataFrame, evaluations: pd.DataFrame) -> "plot.Figure":
    """Accuracy at early stop and early-stop step against percent of weights remaining."""
    return plot.sparsity(
        tickets, "Conv-2 on CIFAR-10 in all of its steps (Frankle & Carbin 2019, Figure 5)", by=["model"]
    )
