"""Does bfloat16 cost accuracy? Conv-2 on CIFAR-10, dense, in bfloat16 and float32, from the same weights and batches.

Command
    lth figure precision_conv_2 --run data.root=DIR
Expect
    The mean test accuracies after 1,000 steps (of the 20,000 of Frankle & Carbin 2019) differ by no more than
    replicates do: precision=auto may choose bfloat16.
Cost
    3 trainings of 1,000 steps for each precision.
Result
    Not run yet.
"""

import pandas as pd
from matplotlib.figure import Figure

from lth import plot

COST = "3 trainings of Conv-2, 1,000 steps, for each of two precisions"


def draw(tickets: pd.DataFrame, evaluations: pd.DataFrame) -> Figure:
    """Test accuracy against step, one line per precision."""
    return plot.curves(evaluations, tickets, [0], "Conv-2 on CIFAR-10 in float32 and bfloat16", by=["precision"])
