"""Frankle & Carbin 2019, Figure 4: early stop and accuracy there of LeNet-300-100, tickets beside re-initialization.

Command
    lth figure frankle2019_fig4 --run data.root=DIR
Expect (the paper, 5 trials of tickets, 3 re-initializations each)
    Tickets stop earlier and are more accurate the more is pruned, down to about 13.5% of the weights; re-initialized
    they learn ever slower, and at 21% the ticket stops 2.51 times earlier and is 0.5 percentage points better.
Cost
    39 trainings of 50,000 steps that Figure 3 shares, and 36 of re-initialized tickets, for 3 replicates: 2.7 hours of
    one core of an AMD EPYC that was busy with other work.
Result (2026-11-24, commit 6f01fcc5311d, n = 3, one re-initialization each; results/frankle2019_fig4.md)
    At 21.1% the re-initialized ticket stops at step 5300 (1058), the ticket at 2333 (611): 2.27 times earlier; its
    accuracy there is 97.80 (0.05), the ticket's 98.17 (0.08): 0.37 points better. The ticket's accuracy rises down to
    8.7%, 98.36 (0.02), the re-initialized one's stays within a standard deviation of dense, 97.73 (0.26).
"""

from functools import partial

import pandas as pd
from matplotlib.figure import Figure

from lth import plot
from lth.claim import Claim, faster, gain, lowest

COST = "50 trainings of 50,000 steps a replicate, 19 of them shared with frankle2019_fig3"
ITERATIVE, ONE_SHOT = {"schedule": "iterative"}, {"schedule": "one_shot"}
CLAIMS = [
    Claim("21.1%: early stop earlier than re-initialized", 2.51, "times",
          partial(faster, percent=21.1, than="reinitialize"), ITERATIVE),
    Claim("21.1%: accuracy above re-initialized", 0.5, "points", partial(gain, percent=21.1, than="reinitialize"),
          ITERATIVE),
    Claim("tickets as good as dense down to", 2.9, "% of weights", lowest, ITERATIVE, kind="lowest"),
    Claim("re-initialized as good as dense down to", 21.1, "% of weights", partial(lowest, branch="reinitialize"),
          ITERATIVE, kind="point"),
    Claim("one-shot: early stop no later than dense down to", 17.6, "% of weights", partial(lowest, over="step"),
          ONE_SHOT, kind="lowest"),
    Claim("one-shot: as good as dense down to", 5.17, "% of weights", lowest, ONE_SHOT, kind="lowest"),
]  # fmt: skip


def draw(tickets: pd.DataFrame, evaluations: pd.DataFrame) -> Figure:
    """Accuracy at early stop and early-stop step against percent of weights remaining."""
    return plot.sparsity(tickets, "LeNet-300-100 on MNIST (Frankle & Carbin 2019, Figure 4)", by=["schedule"])
