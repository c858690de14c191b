"""Frankle & Carbin 2019, Figures 1, 3 and 4 of LeNet-300-100 on MNIST with inputs of 0 to 1.

Command
    lth figure frankle2019_unit --run data.root=DIR
Expect (the paper, 5 trials of tickets, 3 re-initializations each, 10 random networks)
    What frankle2019_fig1, _fig3 and _fig4 expect. The paper does not say how it scales its inputs: there they are
    standardized, here they are divided by 255, the largest value.
Cost
    A replicate: 19 tickets shared with frankle2019_hyperparameters, 18 re-initialized, 8 random and 8 one-shot ones of
    50,000 steps.
Result
    Not run.
"""

from dataclasses import replace

import pandas as pd

from lth.analysis import full, plot, registry

COST = "53 trainings of 50,000 steps a replicate, 19 of them shared with frankle2019_hyperparameters"
FULL = full.frankle2019("lenet_300_100", **full.EVERY_LEVEL)
OWN = {"experiment": "frankle2019_unit"}
FIGURES: dict[int, dict[str, str]] = {1: {}, 3: {"schedule": "iterative"}, 4: {}}  # and the rows that they are about
CLAIMS = [
    replace(claim, text=f"Figure {figure}, {claim.text}", where={**where, **claim.where, **OWN})
    for figure, where in FIGURES.items()
    for claim in registry.load(f"frankle2019_fig{figure}").CLAIMS
]


def draw(tickets: pd.DataFrame, evaluations: pd.DataFrame) -> "plot.Figure":
    """Accuracy at early stop and early-stop step against percent of weights remaining."""
    title = "LeNet-300-100 on MNIST with inputs of 0 to 1 (Frankle & Carbin 2019, Figures 1, 3 and 4)"
    return plot.sparsity(tickets, title, by=["schedule"])
