"""Zhou et al. 2019, Figure 7 and Table 1: masks on weights that are never trained ("supermasks"), LeNet-300-100.

Command
    lth figure zhou2019_supermask --run data.root=DIR
Expect (the paper's text, Section 5)
    The best mask on the initial weights has 80% accuracy, on constants with their signs up to 86% (from memory: 79.3
    and 86.3% in Table 1); the best criterion is large final weights of the same sign. Masks of large final weights have
    nearly 40% on the initial weights.
    Which mask of a replicate is the best is judged by the test set. The paper's are likely means over replicates of the
    best of each: so they are in a rerun of its code by others (github.com/bmiselis/deconstructing-lottery-tickets, n =
    5), 79.28 and 39.85%; the highest mean of a level is 76.31 and 36.22% there.
Cost
    One training of 50,380 steps a replicate, shared by 13 criteria; 72 evaluations for each of these.
Result (2026-11-30, in full, n = 6, mean and standard deviation; AMD EPYC, one thread; results/zhou2019_supermask.md)
    Of the paper's criteria, large final weights of the same sign give the best masks, each replicate's best on the
    initial weights 78.7 (3.5)%, on constants with their signs 87.2 (2.5)%, those of large final weights on the initial
    ones 37.8 (4.5)%; the replicates differ so much that six do not settle whether these are the paper's numbers. At
    32.9% of the weights masks of the same sign are 45.3 (5.7) and 58.1 (4.7) points above those of large final weights,
    and 6.0 (4.8) points better on constants. Large increases of the same sign, a criterion that only the authors' code
    has, are as good on the initial weights (79.1%), and 6 points worse on constants.
"""

from functools import partial

import pandas as pd

from lth.analysis import plot
from lth.analysis.claim import FINAL, Claim, between, highest

COST = "one training of 50,380 steps a replicate, and 936 evaluations"
FULL = {"lenet_300_100": {"data": "mnist", "steps": 50_380, "batch_size": 60}}
SAME_SIGN = {"criterion": "large_final_same_sign"}
ON = {"supermask": "initial weights", "supermask_constant": "constants with their signs"}


def _claims(branch: str, accuracy: float) -> list[Claim]:
    ours, theirs = {**SAME_SIGN, "branch": branch}, {"criterion": "magnitude", "branch": branch}
    compare = partial(between, percent=32.9, ours=ours, theirs=theirs, column=FINAL)
    return [
        Claim(f"best mask on {ON[branch]}: accuracy", accuracy, "%",
              partial(highest, branch=branch, column=FINAL), SAME_SIGN, kind="value"),
        Claim(f"on {ON[branch]}, 32.9%: masks of the same sign above those of large weights", 0.0, "points", compare,
              source="" if branch == "supermask" else "memory"),
    ]  # fmt: skip


CLAIMS = [
    *_claims("supermask", 80.0),
    *_claims("supermask_constant", 86.0),
    Claim("best mask of large weights on initial weights: accuracy", 40.0, "%",
          partial(highest, branch="supermask", column=FINAL), {"criterion": "magnitude"}, kind="value"),
    Claim("32.9%, masks of the same sign: on constants above on initial weights", 0.0, "points",
          partial(between, percent=32.9, ours={**SAME_SIGN, "branch": "supermask_constant"},
                  theirs={**SAME_SIGN, "branch": "supermask"}, column=FINAL)),
]  # fmt: skip


def draw(tickets: pd.DataFrame, evaluations: pd.DataFrame) -> "plot.Figure":
    """Accuracy against percent of weights remaining, on initial weights and on constants with their signs."""
    masks = tickets[tickets["branch"].isin(ON)]
    shown = (tickets if masks.empty else masks).assign(how=lambda table: table["branch"].replace(ON))
    title = "Masks on LeNet-300-100 that is not trained, MNIST (Zhou et al. 2019, Figure 7)"
    return plot.sparsity(shown.assign(branch="ticket"), title, by=["criterion"], rows="how", columns=(FINAL,))
