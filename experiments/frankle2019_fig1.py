"""Frankle & Carbin 2019, Figure 1: tickets and random sparse networks, LeNet-300-100 and Conv-2, -4 and -6.

Command
    lth figure frankle2019_fig1 --run data.root=DIR                    the paper's settings
    lth figure frankle2019_fig1 --run scale=reduced data.root=DIR      feasible on two cores
Expect (the paper, 5 trials of tickets, 10 random networks)
    The sparser a random network, the slower it learns and the less accurate it becomes; tickets don't.
Cost
    Full: for LeNet and each replicate 19 tickets shared with Figure 4 and 36 random networks of 50,000 steps, 1.5 hours
    on one core of an AMD EPYC; for the convolutional nets weeks.
Result (2026-11-27, LeNet-300-100 in full, n = 1 with two random networks at each level; AMD EPYC, one thread;
    results/frankle2019_fig1.md)
    As in the paper, the sparser a random network, the slower it learns and the less accurate it becomes; tickets don't.
    At 21.1% of the weights random networks stop at step 6,450 with 97.53 (0.05)%, the ticket at 2,600 with
    98.17%; at 3.6% at 18,750 with 96.16 (0.32)%, the ticket at 3,300 with 98.31%; at 1.85% at 48,050 with 94.34
    (0.57)%, the ticket at 4,000 with 98.08%. The convolutional nets: not run.
"""

from functools import partial

import pandas as pd

from lth.analysis import full, plot
from lth.analysis.claim import Claim, faster, gain

COST = "LeNet-300-100: 55 trainings of 50,000 steps a replicate; Conv-2, -4, -6: 61 of 20,000 to 30,000 steps each"
FULL = full.frankle2019("lenet_300_100", "conv_2", "conv_4", "conv_6", **full.EVERY_LEVEL)
WITH = ("frankle2019_fig4",)
LENET = {"model": "lenet_300_100", "schedule": "iterative"}
CLAIMS = [
    *(
        claim
        for percent in (21.1, 3.6)
        for claim in (
            Claim(f"LeNet-300-100, {percent}%: ticket above random sparsity", 0.0, "points",
                  partial(gain, percent=percent, than="random_sparsity"), LENET),
            Claim(f"LeNet-300-100, {percent}%: ticket's early stop earlier than that of random sparsity", 0.0, "times",
                  partial(faster, percent=percent, than="random_sparsity"), LENET),
        )
    ),
    Claim("LeNet-300-100, 21.1%: re-initialized above random sparsity (E)", 0.0, "points",
          partial(gain, percent=21.1, of="reinitialize", than="random_sparsity"), LENET),
]  # fmt: skip


def draw(tickets: pd.DataFrame, evaluations: pd.DataFrame) -> "plot.Figure":
    """Accuracy at early stop and early-stop step against percent of weights remaining; a row of panels per data set."""
    title = "Tickets beside random sparse networks (Frankle & Carbin 2019, Figure 1)"
    own = tickets[tickets["experiment"] == "frankle2019_fig1"]
    return plot.sparsity(own, title, by=["model"], rows="data")
