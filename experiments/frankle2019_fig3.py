"""Frankle & Carbin 2019, Figure 3: test accuracy of LeNet-300-100 on MNIST while iterative tickets train.

Command
    lth figure frankle2019_fig3 --run data.root=DIR
Expect (the paper, 5 trials)
    Tickets learn faster down to 21.1% of the weights: their early-stop step is 38% earlier than the dense one's; at
    13.5% their accuracy at early stop is more than 0.3 percentage points higher; at 3.6% they are back at dense.
Cost
    39 trainings of 50,000 steps for 3 replicates.
"""

import pandas as pd
from matplotlib.figure import Figure

from lth import plot

COST = "39 trainings of 50,000 steps for 3 replicates"
LEVELS = (0, 3, 7, 9, 12)


def draw(tickets: pd.DataFrame, evaluations: pd.DataFrame) -> Figure:
    """Learning curves of the levels that the paper shows, as far as they were trained."""
    levels = [level for level in LEVELS if level in set(evaluations["level"])]
    return plot.curves(evaluations, tickets, levels, "LeNet-300-100 on MNIST (Frankle & Carbin 2019, Figure 3)")
