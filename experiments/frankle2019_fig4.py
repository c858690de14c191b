"""Frankle & Carbin 2019, Figure 4: early stop and accuracy there of LeNet-300-100, tickets beside re-initialization.

Command
    lth figure frankle2019_fig4 --run data.root=DIR
Expect (the paper, 5 trials of tickets, 3 re-initializations each)
    Tickets stop earlier and are more accurate the more is pruned, down to about 13.5% of the weights; re-initialized
    they learn ever slower, and at 21% the ticket stops 2.51 times earlier and is 0.5 percentage points better.
Cost
    39 trainings of 50,000 steps that Figure 3 shares, and 36 of re-initialized tickets, for 3 replicates.
"""

import pandas as pd
from matplotlib.figure import Figure

from lth import plot

COST = "75 trainings of 50,000 steps for 3 replicates, 39 of them shared with frankle2019_fig3"


def draw(tickets: pd.DataFrame, evaluations: pd.DataFrame) -> Figure:
    """Accuracy at early stop and early-stop step against percent of weights remaining."""
    return plot.sparsity(tickets, "LeNet-300-100 on MNIST (Frankle & Carbin 2019, Figure 4)")
