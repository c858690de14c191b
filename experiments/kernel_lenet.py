"""Do sparse kernels change results? LeNet-300-100 on MNIST, tickets with sparse and with dense kernels side by side.

Command
    lth figure kernel_lenet --run replicate=1,2 data.root=DIR                    the settings of Frankle & Carbin 2019
    lth figure kernel_lenet --run replicate=1,2 scale=reduced data.root=DIR      a tenth of the steps, fewer levels
Expect
    The two kernels add the terms of a sum in different orders, so the last digits of a loss differ, and after thousands
    of steps so do the nets, as much as under two different data orders. Accuracies at the same level differ by no more
    than replicates do.
Cost
    A replicate: 38 trainings of 50,000 steps, 22 of them with dense kernels, about two minutes each, 16 with sparse
    ones, 86 to 9 seconds each. Those of kernel=auto, 19, are also those of frankle2019_appendix.
Result (2026-11-27, in full, n = 1; AMD EPYC, one thread; results/kernel_lenet.csv)
    Accuracy at early stop, sparse kernels above dense ones: -0.01 points on average over the 16 levels from 51.3% to
    1.85% of the weights, whose differences have a standard deviation of 0.16 points and are between -0.38 and 0.24; at
    the end -0.04 (0.13) points. The mean early-stop step is 2,856 and 3,113. A training of level 18 took 8.6
    seconds of CPU with sparse kernels and 116 with dense ones. A tenth of the steps, n = 3 (no longer in the table),
    showed no difference either. The dense net and levels 1 and 2 use dense kernels in both arms, and are identical.
"""

import pandas as pd

from lth.analysis import full, plot

COST = "a replicate: 38 trainings of LeNet-300-100, 50,000 steps, 22 of them with dense kernels"
FULL = full.frankle2019("lenet_300_100", **full.EVERY_LEVEL)


def draw(tickets: pd.DataFrame, evaluations: pd.DataFrame) -> "plot.Figure":
    """Accuracy at early stop and early-stop step against percent of weights remaining, a line for each kernel."""
    kernel = tickets.get("kernel", pd.Series("auto", tickets.index))  # a table of kernel=auto alone has no such column
    shown = tickets.assign(how=kernel.replace({"auto": "sparse"}) + " kernels")
    return plot.sparsity(shown, "Tickets of LeNet-300-100 by sparse and by dense kernels, MNIST", by=["how"])
