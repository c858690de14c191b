"""Frankle & Carbin 2019, Appendices B and G: when to reset, how much to prune a round, and SGD, for LeNet-300-100.

Command
    lth figure frankle2019_appendix --run data.root=DIR                    the paper's settings
    lth figure frankle2019_appendix --run scale=reduced data.root=DIR      feasible on two cores
Expect (the paper, three experiments each, evaluated on the validation set)
    Resetting in every round gives better and faster tickets than continued training with one reset at the end (B). 40%
    a round or more is worse than 20% (G.4). SGD at rate 0.4 stops about as early as Adam, and tickets do so down to
    less than 1% of the weights, where Adam's do down to 3.6%; they are as accurate as Adam's when pruned as far
    (G.3.1). Appendix C is in the figure of frankle2019_fig3, the rest of Appendix G in that of
    frankle2019_hyperparameters.
Cost
    Full: 23 trainings of 50,000 steps a replicate, those of frankle2019_fig3, and 75 more. Reduced: 31 of 5,000,
    10 to 20 seconds each on one core of an AMD EPYC.
Result (2026-11-30, in full, at 20, 60 and 80% a round n = 8, at 40% and with SGD n = 5, continued n = 3, mean and
    standard deviation; AMD EPYC, one thread; results/frankle2019_appendix.md)
    B, test accuracy at early stop: at 3.6% of the weights, tickets reset in every round have 98.16 (0.08)%, tickets of
    continued training reset at the end 97.20 (0.11)%; at 1.85% 97.94 (0.10) and 93.56 (0.38)%, at steps 4,538 (396) and
    42,000 (5,237). Early stop is 2.50 (0.21) times earlier at 7.0%, 3.01 (0.50) times at 3.6%.
    G: 60% a round has 97.91 (0.11)% at 2.6% and 96.85 (0.16)% at 1.1%, 80% 97.95 (0.11)% at 4.1% and 95.67 (0.28)% at
    0.9%. There 20% a round (frankle2019_fig3), on the line through two of its levels, is above 60% by 0.16 (0.14) and
    0.46 (0.22) points, above 80% by 0.23 (0.22) and 1.29 (0.28) (validation; test: 0.14 (0.11) and 0.49 (0.20), 0.24
    (0.17) and 1.36 (0.26)), and stops 1.22 (0.21), 1.61 (0.70), 1.52 (0.33) and 3.99 (1.26) times earlier. 40% a round
    is within 0.2 points of 20% at all levels; at 2.9% the paper's order is not settled, 0.05 (0.29) points on the
    validation set, 1.23 (0.35) times earlier.
    SGD stops at step 4,460 (1,592) when dense, and no later down to 0.77% of the weights, the last level: 4,340
    (1,511). Beside Adam it is 0.07 (0.21) points below at 21.1%, and 0.20 (0.18) at 3.6% (validation; 0.17 (0.22) and
    0.33 (0.14) on the test set). Dense it has 97.33 (0.19)%, 97.54 (0.11) at 1.19% and 96.93 (0.21) at 0.77%; on the
    validation set it is as good down to 1.85%. That mark is low: at this rate dense nets never settle, and have 99.3 to
    99.6% of the training set at the last step, where tickets of 64 to 1.85% have all of it.
"""

from functools import partial

import pandas as pd

from lth.analysis import full, plot
from lth.analysis.claim import STEP, Claim, between, lowest

COST = "23 trainings of 50,000 steps a replicate, those of frankle2019_fig3, and 75 more"
FULL = full.frankle2019("lenet_300_100", **full.EVERY_LEVEL)
ADAM, SGD = {"optimizer": "Adam"}, {"optimizer": "SGD"}
RESET = {**ADAM, "rewind": "weights", "schedule.linear": 0.2}
CONTINUED = {"rewind": "learning_rate", "branch": "reset"}
FAST = {rate: {"schedule.linear": rate} for rate in (0.4, 0.6, 0.8)}
PRUNED = ((0.4, 2.9), (0.6, 2.6), (0.6, 1.1), (0.8, 4.0), (0.8, 0.9))  # by rate: sparse levels that it has, in percent
VALIDATION = "early_stop_val_accuracy"  # of the figures of both appendices
WITH = ("frankle2019_fig3",)  # whose tickets go down to levels that 60 and 80% a round reach
CLAIMS = [
    *(
        Claim(f"B, {percent}%: reset every round above reset at the end", 0.0, "points",
              partial(between, percent=percent, ours=RESET, theirs=CONTINUED, column=VALIDATION), ADAM)
        for percent in (7.0, 3.6)
    ),
    *(
        Claim(f"B, {percent}%: reset every round: early stop earlier than reset at the end", 0.0, "times",
              partial(between, percent=percent, ours=RESET, theirs=CONTINUED, column=STEP), ADAM)
        for percent in (7.0, 3.6)
    ),
    *(
        Claim(f"G, {percent}%: 20% a round above {rate:.0%} a round", 0.0, "points",
              partial(between, percent=percent, ours=RESET, theirs=FAST[rate], column=VALIDATION), ADAM)
        for rate, percent in PRUNED
    ),
    *(
        Claim(f"G, {percent}%: 20% a round: early stop earlier than {rate:.0%} a round", 0.0, "times",
              partial(between, percent=percent, ours=RESET, theirs=FAST[rate], column=STEP), ADAM)
        for rate, percent in PRUNED
    ),
    Claim("G, dense: early stop of SGD at rate 0.4 beside that of Adam", 1.0, "times",
          partial(between, percent=100, ours=RESET, theirs=SGD, column=STEP), kind="point"),
    *(
        Claim(f"G, {percent}%: SGD at rate 0.4 beside Adam", 0.0, "points",
              partial(between, percent=percent, ours=SGD, theirs=RESET, column=VALIDATION), kind="value")
        for percent in (21.1, 3.6)
    ),
    Claim("G: SGD at rate 0.4: early stop no later than dense down to", 1.0, "% of weights",
          partial(lowest, over="step"), SGD, kind="lowest"),
]  # fmt: skip


def how(row: "pd.Series[str]") -> str:
    """The line that a row belongs to."""
    if row["rewind"] == "learning_rate":
        return "continued training"
    if row["optimizer"] == "SGD":
        return "SGD, 20% a round"
    rate = row.get("schedule.linear")
    return f"Adam, {rate if rate in FAST else 0.2:.0%} a round"


def draw(tickets: pd.DataFrame, evaluations: pd.DataFrame) -> "plot.Figure":
    """Accuracy at early stop and early-stop step against percent of weights remaining; of continued training only the
    tickets that were reset.
    """
    own = tickets[tickets["experiment"] == "frankle2019_appendix"]
    shown = own[(own["rewind"] != "learning_rate") | (own["branch"] == "reset")]
    title = "LeNet-300-100 on MNIST (Frankle & Carbin 2019, Appendices B and G)"
    return plot.sparsity(shown.assign(how=shown.apply(how, axis=1)).sort_values("how"), title, by=["how"])
