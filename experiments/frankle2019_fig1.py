"""Frankle & Carbin 2019, Figure 1: tickets and random sparse networks, LeNet-300-100 and Conv-2, -4 and -6.

Command
    lth figure frankle2019_fig1 --run data.root=DIR                    the paper's settings
    lth figure frankle2019_fig1 --run scale=reduced data.root=DIR      feasible on two cores
Expect (the paper, 5 trials of tickets, 10 random networks)
    The sparser a random network, the slower it learns and the less accurate it becomes; tickets don't. Re-initialized
    tickets of LeNet are above random networks at the last step, those of the convolutional nets are not (Appendix E).
Cost
    Full: for LeNet and each replicate 19 tickets shared with Figure 4 and 36 random networks of 50,000 steps, 0.5 to
    1.5 hours on one core of an AMD EPYC; for the convolutional nets weeks.
Result (2026-11-30, LeNet-300-100 in full, n = 5 with two random networks at each level, as many as the paper has; mean
    and standard deviation, over all 10 where they are not differences or ratios; AMD EPYC, one thread, half an hour a
    replicate; results/frankle2019_fig1.md)
    As in the paper, the sparser a random network, the slower it learns and the less accurate it becomes; tickets don't.
    At 21.1% of the weights random networks stop at step 5,770 (910) with 97.71 (0.15)%, tickets at 3,100 (480) with
    98.29 (0.11)%; at 3.6% at 15,740 (3,227) with 96.12 (0.14)%, tickets at 3,120 (295) with 98.21 (0.06)%; at 1.85% at
    42,590 (9,133) with 93.97 (0.43)%, tickets at 4,600 (418) with 97.99 (0.08)%. At 3.6% the dense net stops 3.19
    (1.43) times earlier than random networks, and is 1.67 (0.15) points better. Re-initialized tickets
    (frankle2019_fig4) are above random networks by 0.13 (0.16) points at the last step at 21.1%, which is not settled,
    and by 1.23 (0.10) at 3.6% (Appendix E). The convolutional nets: not run.
"""

from functools import partial

import pandas as pd

from lth.analysis import full, plot
from lth.analysis.claim import FINAL, STEP, Claim, between, faster, gain

COST = "LeNet-300-100: 55 trainings of 50,000 steps a replicate; Conv-2, -4, -6: 61 of 20,000 to 30,000 steps each"
FULL = full.frankle2019("lenet_300_100", "conv_2", "conv_4", "conv_6", **full.EVERY_LEVEL)
WITH = ("frankle2019_fig4",)
LENET = {"model": "lenet_300_100", "schedule": "iterative"}
OWN = {**LENET, "experiment": "frankle2019_fig1"}
RANDOM = {"branch": "random_sparsity"}
CLAIMS = [
    *(
        claim
        for percent in (21.1, 3.6)
        for claim in (
            Claim(f"LeNet-300-100, {percent}%: ticket above random sparsity", 0.0, "points",
                  partial(gain, percent=percent, than="random_sparsity"), OWN),
            Claim(f"LeNet-300-100, {percent}%: ticket's early stop earlier than that of random sparsity", 0.0, "times",
                  partial(faster, percent=percent, than="random_sparsity"), OWN),
        )
    ),
    Claim("LeNet-300-100, 3.6%: dense above random sparsity", 0.0, "points",
          partial(between, percent=100, their_percent=3.6, ours={}, theirs=RANDOM), OWN),
    Claim("LeNet-300-100, 3.6%: dense net's early stop earlier than that of random sparsity", 0.0, "times",
          partial(between, percent=100, their_percent=3.6, ours={}, theirs=RANDOM, column=STEP), OWN),
    Claim("LeNet-300-100, random sparsity: 21.1% above 3.6%", 0.0, "points",
          partial(between, percent=21.1, their_percent=3.6, ours=RANDOM, theirs=RANDOM), OWN),
    Claim("LeNet-300-100, random sparsity: early stop of 21.1% earlier than that of 3.6%", 0.0, "times",
          partial(between, percent=21.1, their_percent=3.6, ours=RANDOM, theirs=RANDOM, column=STEP), OWN),
    *(
        Claim(f"LeNet-300-100, {percent}%: re-initialized above random sparsity at the end (E)", 0.0, "points",
              partial(gain, percent=percent, of="reinitialize", than="random_sparsity", column=FINAL), LENET)
        for percent in (21.1, 3.6)
    ),
]  # fmt: skip


def draw(tickets: pd.DataFrame, evaluations: pd.DataFrame) -> "plot.Figure":
    """Accuracy at early stop and early-stop step against percent of weights remaining; a row of panels per data set."""
    title = "Tickets beside random sparse networks (Frankle & Carbin 2019, Figure 1)"
    own = tickets[tickets["experiment"] == "frankle2019_fig1"]
    return plot.sparsity(own, title, by=["model"], rows="data")
