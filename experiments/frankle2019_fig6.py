"""Frankle & Carbin 2019, Figure 6: Conv-2, -4 and -6 on CIFAR-10 trained with dropout, beside the nets of Figure 5.

Command
    lth figure frankle2019_fig6 --run data.root=DIR                    the paper's settings
    lth figure frankle2019_fig6 --run scale=reduced data.root=DIR      feasible on two cores
Expect (the paper)
    Dropout improves the dense nets by 2.1, 3.0 and 2.4 points, pruning on top of it by up to 2.3, 4.6 and 4.7.
Cost
    Full: 21 trainings of 60,000 to 90,000 steps for each net and replicate, and those of Figure 5. Reduced: 3 of 20,000
    steps for Conv-2, 22 to 37 minutes each on one busy core of an AMD EPYC in bfloat16, 2 of 3,000 for Conv-4, 2 of
    3,600 for Conv-6.
Result (2026-12-01, n = 2, mean and standard deviation; REDUCED to 20,000 of the 60,000 steps, Conv-2 only,
    dense, 17.0 and 3.7% of the weights, evaluated every 400 steps (the paper: 100), in bfloat16;
    results/frankle2019_fig6.md)
    The dense nets with dropout stop at step 4,400 with 70.93 and 71.13%, 0.75 (0.27) points above those without (Figure
    5's 4,000 steps; the paper: 2.1), and their tickets of 17.0% at steps 4,400 and 3,600 with 72.44 and 71.83%, 1.11
    (0.57) points above (the paper: up to 2.3). Both gains have the sign of the paper's, and are smaller, which two
    replicates do not settle; tickets stop about as early as dense nets, and the paper has no clear gain in speed for
    this net either (H.5). At 3.7% the tickets stop at step 10,800 (566) with 70.48 (0.01)%, 0.55 (0.16) points below
    their dense nets; without dropout tickets fall below the dense net from 8.8% on. All but those of 3.7% (96.7 and
    96.3%) have 99.9 to 100% of the training set at the last step. In 3,000 steps (n = 2, no longer in the table)
    dropout was not yet better, by -0.71 (0.73) points, and 3.7% of the weights were 2.41 (0.52) points below the dense
    net without dropout.
"""

from functools import partial

import pandas as pd

from lth.analysis import full, plot
from lth.analysis.claim import Claim, added, best_gain, faster, value

COST = "21 trainings of 60,000 to 90,000 steps a net and replicate, and frankle2019_fig5; scale=reduced: 3, 2 and 2"
FULL = full.frankle2019("conv_2", "conv_4", "conv_6", longer=3, **full.EVERY_LEVEL)
WITH = ("frankle2019_fig5",)


def _net(model: str) -> dict[str, object]:
    return {"model": model, "model.dropout": 0.5}


CLAIMS = [
    *(
        Claim(f"{plot.NAMES[model]}: dropout lifts the dense net by", paper, "points",
              partial(added, option="model.dropout"), {"model": model})
        for model, paper in (("conv_2", 2.1), ("conv_4", 3.0), ("conv_6", 2.4))
    ),
    *(
        Claim(f"{plot.NAMES[model]}: pruning lifts it further by up to", paper, "points", best_gain, _net(model))
        for model, paper in (("conv_2", 2.3), ("conv_4", 4.6), ("conv_6", 4.7))
    ),
    *(
        Claim(f"{plot.NAMES[model]}, {percent}%: validation accuracy (H.5)", paper, "%",
              partial(value, percent=percent, column="early_stop_val_accuracy"), _net(model), kind="value")
        for model, percent, paper in (("conv_4", 100, 77.6), ("conv_4", 7.6, 82.6), ("conv_6", 100, 81.3),
                                      ("conv_6", 10.5, 84.8))
    ),
    *(
        Claim(f"{plot.NAMES[model]}, {percent}%: early stop earlier than dense (H.5)", paper, "times",
              partial(faster, percent=percent), _net(model))
        for model, percent, paper in (("conv_4", 7.6, 1.58), ("conv_6", 15.1, 1.5))
    ),
]  # fmt: skip


def draw(tickets: pd.DataFrame, evaluations: pd.DataFrame) -> "plot.Figure":
    """Accuracy at early stop and early-stop step against percent of weights remaining, with and without dropout."""
    main_line = tickets[tickets["branch"] == "ticket"]
    with_dropout = main_line.loc[main_line["experiment"] == "frankle2019_fig6", "model"].unique()
    shown = main_line[main_line["model"].isin(with_dropout)]
    nets = ", ".join(sorted(plot.NAMES[model] for model in with_dropout))
    title = f"{nets} with and without dropout (Frankle & Carbin 2019, Figure 6)"
    return plot.sparsity(shown, title, by=["model", "model.dropout"])
