"""Frankle & Carbin 2019, Conv-2 of Figure 5 on CIFAR-10 level by level, in a fifth of its steps.

Command
    lth figure frankle2019_all_levels --run data.root=DIR                    the paper's settings
    lth figure frankle2019_all_levels --run scale=reduced precision=bf16 threads=2 replicate=1 data.root=DIR
Expect (the paper)
    As in Figure 5: at 8.8% of the weights Conv-2 stops 3.5 times earlier than the dense net, at 4.6% it is 3.4 points
    more accurate; all tickets down to 2% are better than the dense net.
Cost
    Full, a replicate: the tickets of frankle2019_fig5, which are shared with it. Reduced: 18 trainings of 4,000 steps.
Result
    Not run.
"""

import pandas as pd

from lth.analysis import full, plot

COST = "a replicate: 21 trainings of 20,000 steps; scale=reduced: 18 of 4,000"
FULL = full.frankle2019("conv_2", **full.EVERY_LEVEL)


def draw(tickets: pd.DataFrame, evaluations: pd.DataFrame) -> "plot.Figure":
    """Accuracy at early stop and early-stop step against percent of weights remaining."""
    return plot.sparsity(
        tickets, "Conv-2 on CIFAR-10 level by level, a fifth of the steps (Frankle & Carbin 2019)", by=["model"]
    )
