"""Frankle & Carbin 2019, Figure 5: Conv-2, -4 and -6 on CIFAR-10, tickets beside re-initialization.

Command
    lth figure frankle2019_fig5 --run data.root=DIR                    the paper's settings
    lth figure frankle2019_fig5 --run scale=reduced data.root=DIR      feasible on two cores
Expect (the paper, 5 trials of tickets, 3 re-initializations each)
    Tickets stop up to 3.5 (Conv-2, 8.8%), 3.5 (Conv-4, 9.2%) and 2.5 times (Conv-6, 15.1%) earlier than the dense nets
    and are up to 3.4 (4.6%), 3.5 (11.1%) and 3.3 points (26.4%) more accurate; all are better than dense down to 2%.
Cost
    Full: 41 trainings of 20,000 to 30,000 steps for each net and replicate. Reduced: 5 of 4,000 steps for Conv-2, 3 of
    1,250 for Conv-4, 3 of 1,000 for Conv-6.
Result (2026-11-24, REDUCED to a fifth, a twentieth and a thirtieth of the steps, evaluated every 200 or 250 steps (the
    paper: 100), in bfloat16; results/frankle2019_fig5.md)
    Conv-2, n = 2: dense 70.28%, tickets of 33.0, 8.8 and 4.6% of the weights 70.75, 69.75 and 69.33%; 8.8% stops 1.48
    (0.03) times earlier than dense, and re-initialized reaches 53.85%. Conv-4, n = 1: dense 68.19%, 13.4% of the
    weights 68.12%, re-initialized 49.50%. Conv-6, n = 1: dense 65.62%, 26.6% of the weights 68.11%, re-initialized
    45.30%. So tickets are far above re-initialized ones, as in the paper, but these still learn: all have their early
    stop at the last step. The gains in accuracy and early-stop step over the dense nets do not reproduce. Training
    Conv-2 for all 20,000 steps does not bring them back (frankle2019_all_steps, whose numbers the scorecard takes).
    Inputs of 0 to 255 do in part, for Conv-2 and Conv-4 (frankle2019_scaling); He initialization brings gains in
    accuracy for Conv-2 (frankle2019_ablation). Conv-4 and -6 have not begun to overfit at their last step here.
    A training of Conv-2 took 5 to 7 minutes, of Conv-4 and -6 3 to 4, each on one core of an AMD EPYC.
"""

from functools import partial

import pandas as pd

from lth.analysis import full, plot
from lth.analysis.claim import FINAL, Claim, best_gain, faster, gain, lowest, value, worst

COST = "41 trainings of 20,000 to 30,000 steps a net and replicate; scale=reduced: 5, 3 and 3 of 4,000, 1,250 and 1,000"
FULL = full.frankle2019("conv_2", "conv_4", "conv_6", **full.EVERY_LEVEL)
ALSO = ("frankle2019_all_steps",)  # Conv-2 in all of its steps
CONV_2, CONV_4, CONV_6 = {"model": "conv_2"}, {"model": "conv_4"}, {"model": "conv_6"}
VALIDATION = "early_stop_val_accuracy"
CLAIMS = [
    Claim("Conv-2, 8.8%: early stop earlier than dense", 3.5, "times", partial(faster, percent=8.8), CONV_2),
    Claim("Conv-4, 9.2%: early stop earlier than dense", 3.5, "times", partial(faster, percent=9.2), CONV_4),
    Claim("Conv-6, 15.1%: early stop earlier than dense", 2.5, "times", partial(faster, percent=15.1), CONV_6),
    Claim("Conv-2, 4.6%: accuracy above dense", 3.4, "points", partial(gain, percent=4.6), CONV_2),
    Claim("Conv-4, 11.1%: accuracy above dense", 3.5, "points", partial(gain, percent=11.1), CONV_4),
    Claim("Conv-6, 26.4%: accuracy above dense", 3.3, "points", partial(gain, percent=26.4), CONV_6),
    *(
        Claim(f"{plot.NAMES[net['model']]}: above dense down to", 2.0, "% of weights", lowest, net, kind="lowest")
        for net in (CONV_2, CONV_4, CONV_6)
    ),
    *(
        Claim(
            f"{plot.NAMES[net['model']]}: training accuracy at the end, worst ticket above 2%",
            100.0,
            "%",
            partial(worst, column="final_train_accuracy", down_to=2.0),
            net,
            kind="value",
        )
        for net in (CONV_2, CONV_4, CONV_6)
    ),
    *(
        Claim(f"{plot.NAMES[net['model']]}, {percent}%: accuracy above re-initialized", 0.0, "points",
              partial(gain, percent=percent, than="reinitialize"), net)
        for net, percent in ((CONV_2, 8.8), (CONV_4, 13.4), (CONV_6, 26.6))
    ),
    *(
        Claim(f"{plot.NAMES[net['model']]}: best accuracy at the last step above dense", 0.0, "points",
              partial(best_gain, column=FINAL), net)
        for net in (CONV_2, CONV_4, CONV_6)
    ),
    Claim("Conv-2: validation accuracy, dense (H.2)", 67.6, "%", partial(value, percent=100, column=VALIDATION), CONV_2,
          kind="value"),
    Claim("Conv-2, 3%: validation accuracy (H.2)", 70.9, "%", partial(value, percent=3.0, column=VALIDATION), CONV_2,
          kind="value"),
    Claim("Conv-2, 8.8%: early stop earlier than dense (H.2)", 4.8, "times", partial(faster, percent=8.8), CONV_2),
    Claim("Conv-4: best validation accuracy above dense (H.2)", 3.7, "points", partial(best_gain, column=VALIDATION),
          CONV_4),
    Claim("Conv-4, 5.4%: validation accuracy (H.2)", 78.6, "%", partial(value, percent=5.4, column=VALIDATION), CONV_4,
          kind="value"),
    Claim("Conv-4, 11.1%: early stop earlier than dense (H.2)", 4.27, "times", partial(faster, percent=11.1), CONV_4),
    # Conv-6 of H.2 is not compared: it was pruned by another ladder, with 10% of the convolutions a round.
]  # fmt: skip


def draw(tickets: pd.DataFrame, evaluations: pd.DataFrame) -> "plot.Figure":
    """Accuracy at early stop and early-stop step against percent of weights remaining."""
    return plot.sparsity(tickets, "Conv-2, -4, -6 on CIFAR-10 (Frankle & Carbin 2019, Figure 5)", by=["model"])
