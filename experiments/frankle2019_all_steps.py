"""Frankle & Carbin 2019, Conv-2 of Figure 5 on CIFAR-10 in all of its 20,000 steps, at three of its levels.

Command
    lth figure frankle2019_all_steps --run data.root=DIR                                      the paper's settings
    lth figure frankle2019_all_steps --run scale=reduced precision=bf16 data.root=DIR         three levels
Expect (the paper)
    As in Figure 5: at 8.8% of the weights Conv-2 stops 3.5 times earlier than the dense net, at 4.6% it is 3.4 points
    more accurate; all tickets down to 2% are better than the dense net.
Cost
    Full, a replicate: the tickets of frankle2019_fig5, which are shared with it. Reduced: 4 trainings of 20,000 steps.
Result
"""

import pandas as pd

from lth.analysis import full, plot

COST = "a replicate: 21 trainings of 20,000 steps; scale=reduced: 4"
FULL = full.frankle2019("conv_2", **full.EVERY_LEVEL)


def draw(tickets: pd.DataFrame, evaluations: pd.DataFrame) -> "plot.Figure":
    """Accuracy at early stop and early-stop step against percent of weights remaining."""
    return plot.sparsity(
        tickets, "Conv-2 on CIFAR-10 in all of its steps (Frankle & Carbin 2019, Figure 5)", by=["model"]
    )
