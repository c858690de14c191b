"""Does bfloat16 cost accuracy? Conv-2 on CIFAR-10, dense, in bfloat16 and float32, from the same weights and batches.

Command
    lth figure precision_conv_2 --run data.root=DIR
Expect
    The mean test accuracies after 1,000 steps (of the 20,000 of Frankle & Carbin 2019) differ by no more than
    replicates do, so that precision=auto may choose bfloat16.
Cost
    3 trainings of 1,000 steps for each precision, 1.5 minutes each in bfloat16 and 3 in float32.
Result (2026-11-24, n = 2, results/precision_conv_2.md)
    bfloat16 61.10 and 63.54%, float32 61.57 and 62.97%: a mean difference of +0.05 points, less than between
    replicates. A training took 91.7 and 85.8 s in bfloat16, 175.3 and 179.7 s in float32: half the time (AMD EPYC, no
    AMX, one thread, the other core busy).
"""

import pandas as pd

from lth.analysis import full, plot

FULL = full.frankle2019("conv_2")
COST = "3 trainings of Conv-2, 1,000 steps, for each of two precisions"


def draw(tickets: pd.DataFrame, evaluations: pd.DataFrame) -> "plot.Figure":
    """Test accuracy against step, one line per precision."""
    return plot.curves(evaluations, tickets, [0], "Conv-2 on CIFAR-10 in float32 and bfloat16", by=["precision"])
