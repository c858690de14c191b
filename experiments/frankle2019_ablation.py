"""Frankle & Carbin 2019, Conv-2 of Figure 5 from other weights, and with another epsilon of Adam.

Command
    lth figure frankle2019_ablation --run data.root=DIR                    the paper's steps and levels
    lth figure frankle2019_ablation --run scale=reduced replicate=1 data.root=DIR
Expect
    Figure 5's gains of Conv-2, which do not reproduce on standardized inputs (frankle2019_fig5): 8.8% of the weights
    stop 3.5 times earlier than the dense net, 4.6% are 3.4 points more accurate. The paper names Gaussian Glorot
    weights and no epsilon of Adam, which is 1e-8 in PyTorch and 1e-7 in Keras.
Cost
    Full, a replicate: 42 trainings of 20,000 steps, and the tickets of frankle2019_fig5. Reduced: 8 of 4,000 steps, 13
    to 24 minutes each on two cores of an Intel Xeon without bfloat16 beside other work, and those of frankle2019_fig5.
Result (2026-11-30, n = 1, REDUCED to a fifth of the steps, evaluated every 200 steps (the paper: 100);
    results/frankle2019_ablation.md)
    Gaussian He weights: the dense net stops at step 2,200 with 66.54%, tickets of 33.0 and 8.8% of the weights at steps
    1,600 and 2,000 with 67.89 and 67.80%; 66.98, 67.44 and 68.08% on the validation set (the paper's dense net:
    67.6%). So 8.8% is 1.26 points more accurate and 1.10 times earlier; 4.6% was not run. Of Gaussian Glorot weights,
    replicate 1 of frankle2019_fig5: 0.73 points less accurate and 1.50 times earlier. With an epsilon of 1e-7 nets stop
    at steps 3,000, 2,000, 2,400 and 3,000 with 69.99, 70.07, 68.95 and 68.78%, with 1e-8 at 3,600, 2,000, 2,400 and
    3,000 with 69.99, 70.39, 69.26 and 69.07%: it changes nothing. As on bytes (frankle2019_scaling), gains in accuracy
    come where the dense net is worse; unlike there, tickets are hardly faster. These were trained in float32, those of
    frankle2019_fig5 in bfloat16 (see precision_conv_2).
"""

from functools import partial
from typing import Any

import pandas as pd

from lth.analysis import full, plot
from lth.analysis.claim import Claim, faster, gain, lowest

COST = "a replicate: 42 trainings of 20,000 steps, and frankle2019_fig5; scale=reduced: 8 of 4,000"
FULL = full.frankle2019("conv_2", **full.EVERY_LEVEL)
WITH = ("frankle2019_fig5",)
EPSILON = 1e-8  # of PyTorch's Adam, where a configuration names none
ARMS: dict[str, dict[str, Any]] = {
    "Gaussian He weights": {"init": "kaiming_normal"},
    "epsilon 1e-7": {"optimizer.eps": 1e-7},
}
# The claims of frankle2019_fig5.
CLAIMS = [
    claim
    for name, where in ARMS.items()
    for claim in (
        Claim(
            f"Conv-2, {name}, 8.8%: early stop earlier than dense", 3.5, "times", partial(faster, percent=8.8), where
        ),
        Claim(f"Conv-2, {name}, 4.6%: accuracy above dense", 3.4, "points", partial(gain, percent=4.6), where),
        Claim(f"Conv-2, {name}: above dense down to", 2.0, "% of weights", lowest, where, kind="lowest"),
    )
]


def draw(tickets: pd.DataFrame, evaluations: pd.DataFrame) -> "plot.Figure":
    """Accuracy at early stop and early-stop step by percent of weights remaining, a line for each change."""
    shown = tickets[(tickets["model"] == "conv_2") & (tickets["branch"] == "ticket")]
    epsilon = shown.get("optimizer.eps", pd.Series(index=shown.index, dtype=float)).fillna(EPSILON)
    names = dict(zip([("glorot_normal", EPSILON), ("kaiming_normal", EPSILON), ("glorot_normal", 1e-7)],
                     ["Gaussian Glorot weights", *ARMS], strict=True))  # fmt: skip
    change = pd.Categorical(map(names.get, zip(shown["init"], epsilon, strict=True)), names.values())
    shown = shown.assign(**{"with": change}).dropna(subset="with")  # of one change each
    title = "Conv-2 from other weights, and with another epsilon of Adam (Frankle & Carbin 2019, Figure 5)"
    return plot.sparsity(shown.sort_values("with"), title, by=["with"])
