"""Frankle & Carbin 2019, Figure 8: ResNet-20 on CIFAR-10, pruned globally: rate 0.1, rate 0.01, 0.03 after a warm-up.

Command
    lth figure frankle2019_fig8 --run data.root=DIR                    the paper's settings
    lth figure frankle2019_fig8 --run scale=reduced data.root=DIR      feasible on two cores
Expect (the paper, accuracy at 10,000, 20,000 and 30,000 steps)
    Dense 90.5% at rate 0.1, where there are no tickets; at 0.01 tickets of 41.7% to 21.9% of the weights with 89.5%; at
    0.03 with a warm-up of 20,000 steps 90.5% at 27.1%, and tickets down to 11.8%.
Cost
    Full: 41 trainings of 30,000 steps for each line and replicate; needs a GPU. Reduced: 5 of 2,000 steps a line, 32
    minutes on one core of a busy AMD EPYC.
Result (2026-11-24, n = 1, REDUCED to 2,000 of the 30,000 steps, rate 0.1 only, evaluated every 200 steps (the paper:
    100), in bfloat16; results/frankle2019_fig8.md)
    At the end, tickets of 41.7, 21.9 and 11.8% of the weights reach 81.4, 82.8 and 82.9%, the dense net 79.6%, a random
    re-initialization of 21.9% 76.3%; after 30% of the steps the tickets have 66.3, 74.8 and 76.2%, the dense net 61.4%
    and the re-initialized one 55.9%. In so short a training, tickets win even at the learning rate at which the paper
    found none in fifteen times the steps.
"""

from functools import partial

import pandas as pd

from lth.analysis import full, plot
from lth.analysis.claim import FINAL, Claim, lowest, value

COST = "41 trainings of ResNet-20, 30,000 steps, for each of three lines and replicate; scale=reduced: 5 of 2,000 steps"
FULL = full.frankle2019("resnet_20", **full.EVERY_LEVEL)
HIGH, LOW, WARM = {"optimizer.lr": 0.1}, {"optimizer.lr": 0.01}, {"optimizer.lr": 0.03}
CLAIMS = [
    Claim("rate 0.1: accuracy, dense", 90.5, "%", partial(value, percent=100, column=FINAL), HIGH, kind="value"),
    Claim("rate 0.01, 41.7%: accuracy", 89.5, "%", partial(value, percent=41.7, column=FINAL), LOW, kind="value"),
    Claim("rate 0.01, 21.9%: accuracy", 89.5, "%", partial(value, percent=21.9, column=FINAL), LOW, kind="value"),
    Claim("rate 0.03, warm-up, 27.1%: accuracy", 90.5, "%", partial(value, percent=27.1, column=FINAL), WARM,
          kind="value"),
    Claim("rate 0.03, warm-up: as good as dense down to", 11.8, "% of weights", partial(lowest, column=FINAL), WARM,
          kind="lowest"),
]  # fmt: skip
SHARES = (1 / 3, 2 / 3, 1.0)


def draw(tickets: pd.DataFrame, evaluations: pd.DataFrame) -> "plot.Figure":
    """Test accuracy at three times of training against percent of weights remaining."""
    title = "ResNet-20 on CIFAR-10 (Frankle & Carbin 2019, Figure 8)"
    return plot.during(tickets, evaluations, SHARES, title, by=["model", "optimizer.lr", "lr.warmup"])
