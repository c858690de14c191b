"""Frankle & Carbin 2019, Figure 7: VGG-19 on CIFAR-10, pruned globally: rate 0.1, rate 0.01, rate 0.1 after a warm-up.

Command
    lth figure frankle2019_fig7 --run data.root=DIR                    the paper's settings
    lth figure frankle2019_fig7 --run scale=reduced data.root=DIR      one level, a four-hundredth of the steps
Expect (the paper, accuracy at 30,000, 60,000 and 112,000 steps)
    No tickets at rate 0.1; at 0.01 tickets within 1 point of dense down to 3.5%; with a warm-up of 10,000 steps tickets
    down to 1.5% of the weights, if pruned layer by layer down to 6.9%.
Cost
    Full: 41 trainings of 112,480 steps for each line and replicate; needs a GPU.
Result
    Not run: 280 of the 112,480 steps, 4 minutes of one core each, only showed that the experiment runs.
"""

from functools import partial

import pandas as pd

from lth.analysis import full, plot
from lth.analysis.claim import FINAL, Claim, lowest

COST = "41 trainings of VGG-19, 112,480 steps, for each of four lines and replicate; scale=reduced: 2 of 280 steps"
FULL = full.frankle2019("vgg_19", **full.EVERY_LEVEL)
CLAIMS = [
    Claim("rate 0.01: within 1 point of dense down to", 3.5, "% of weights", partial(lowest, column=FINAL, slack=1.0),
          {"optimizer.lr": 0.01}, kind="lowest"),
    Claim("rate 0.1, warm-up 10,000: as good as dense down to", 1.5, "% of weights", partial(lowest, column=FINAL),
          {"optimizer.lr": 0.1, "lr.warmup": True, "distribution": "globally"}, kind="lowest"),
    Claim("rate 0.1, warm-up 10,000, layer-wise: as good as dense down to", 6.9, "% of weights",
          partial(lowest, column=FINAL), {"optimizer.lr": 0.1, "lr.warmup": True, "distribution": "by_kind"},
          kind="point"),
]  # fmt: skip
SHARES = (30_000 / 112_480, 60_000 / 112_480, 1.0)


def draw(tickets: pd.DataFrame, evaluations: pd.DataFrame) -> "plot.Figure":
    """Test accuracy at three times of training against percent of weights remaining."""
    title = "VGG-19 on CIFAR-10 (Frankle & Carbin 2019, Figure 7)"
    return plot.during(tickets, evaluations, SHARES, title, by=["model", "optimizer.lr", "lr.warmup", "distribution"])
