"""Zhou et al. 2019, Figure 6 and Table 2: masks on weights that are never trained ("supermasks"), LeNet-300-100.

Command
    lth figure zhou2019_supermask --run data.root=DIR
Expect (from memory: 79.3% and 86.3% in Table 2)
    The best mask on the initial weights has 79.3% accuracy, on constants with their signs 86.3%; the best criterion is
    large final weights of the same sign.
Cost
    One training of 50,380 steps a replicate, shared by 13 criteria; 72 evaluations for each of these.
Result (2026-11-30, in full, n = 6, mean and standard deviation; AMD EPYC, one thread; results/zhou2019_supermask.md)
    Large final weights of the same sign give the best masks, on the initial weights 77.3 (4.1)% at 32.9% kept, on
    constants with their signs 86.1 (2.6)% at 16.9%; the replicates differ so much that six do not settle whether these
    are the paper's numbers. At 32.9% they are 45.3 (5.7) and 58.1 (4.7) points above masks of large final weights.
"""

from functools import partial

import pandas as pd

from lth.analysis import plot
from lth.analysis.claim import FINAL, Claim, between, highest

SOURCE = "memory"
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
        Claim(f"on {ON[branch]}, 32.9%: masks of the same sign above those of large weights", 0.0, "points", compare),
    ]  # fmt: skip


CLAIMS = [*_claims("supermask", 79.3), *_claims("supermask_constant", 86.3)]


def draw(tickets: pd.DataFrame, evaluations: pd.DataFrame) -> "plot.Figure":
    """Accuracy against percent of weights remaining, on initial weights and on constants with their signs."""
    masks = tickets[tickets["branch"].isin(ON)]
    shown = (tickets if masks.empty else masks).assign(how=lambda table: table["branch"].replace(ON))
    title = "Masks on LeNet-300-100 that is not trained, MNIST (Zhou et al. 2019, Figure 6)"
    return plot.sparsity(shown.assign(branch="ticket"), title, by=["criterion"], rows="how", columns=(FINAL,))
