"""Zhou et al. 2019, Table 1: supermasks that are learned, on weights that are never trained; LeNet-300-100 and Conv-2.

Every weight takes part with a probability of its own, the sigmoid of a score, which starts at one half. Masks are on
the initial weights or on a constant with their signs; "rescaled" stands for dynamic weight rescaling. An accuracy is
the mean over 10 draws of the mask, as in the authors' code.

Command
    lth figure zhou2019_learned --run data.root=DIR                    LeNet-300-100 and Conv-2 in full
    lth figure zhou2019_learned --run scale=reduced data.root=DIR      a tenth and a hundredth of the steps
Expect (Section 5.2: LeNet-300-100, init 95.3%, and that rescaling improves masks; else Table 1, from memory, or as
    others quote it: 98.0 and 66.0%)
    LeNet-300-100: init 95.3%, constant 96.4%, rescaled 97.8% and 98.0%, beside 97.7% of trained weights. Conv-2: 64.4%,
    66.3%, 65.0% and 66.0% beside 69.2%. The paper's are the best of several starts of the scores, which decide how many
    weights the masks keep; here there is one.
Cost
    LeNet-300-100, a replicate: a training of 50,380 steps and four of 440,000, of about an hour each on an idle core.
    Conv-2: one of 20,250 steps and four of 360,000. Reduced: a tenth, and a fifth and a hundredth.
Result (2026-11-29, LeNet-300-100, n = 3, mean and standard deviation, REDUCED to a tenth of the steps; AMD EPYC, one
    thread; results/zhou2019_learned.csv)
    Mean accuracy of 10 masks: on the initial weights 94.41 (0.10)%, on their signed constant 95.80 (0.08)%, with
    weights rescaled 97.63 (0.06) and 97.79 (0.05)%, 0.2 to 0.9 points below the paper's, beside 97.81 (0.18)% of the
    trained net at the last step. Rescaling adds 3.22 (0.06) points on the initial weights. Without it, masks keep
    half of all weights (51 and 52%) and 72 and 79% of the last layer; with it 36 and 35%, and 21 and 32%.
    Conv-2: not run.
"""

from functools import partial

import pandas as pd

from lth.analysis import plot
from lth.analysis.claim import FINAL, Claim, gain, value

SOURCE = "memory"
COST = "a replicate: LeNet one training of 50,380 steps and four of 440,000, Conv-2 of 20,250 and 360,000"
KINDS = {
    "learned_supermask": "init",
    "learned_supermask_constant": "constant",
    "learned_supermask_rescaled": "init, rescaled",
    "learned_supermask_constant_rescaled": "constant, rescaled",
}
FULL = {
    "lenet_300_100": {"data": "mnist", "steps": {"ticket": 50_380, **dict.fromkeys(KINDS, 440_000)}, "batch_size": 60},
    "conv_2": {"data": "cifar10", "steps": {"ticket": 20_250, **dict.fromkeys(KINDS, 360_000)}, "batch_size": 60},
}
SAMPLED = "sampled_test_accuracy"
DENSE = 100  # percent that stands for level 0, where nothing is pruned
# Accuracy in percent: the trained net, then by KINDS.
PRINTED = {"lenet_300_100": (97.7, 95.3, 96.4, 97.8, 98.0), "conv_2": (69.2, 64.4, 66.3, 65.0, 66.0)}
SOURCES = {  # the others are from memory
    ("lenet_300_100", "init"): "paper",
    ("lenet_300_100", "constant, rescaled"): "quoted",
    ("conv_2", "constant, rescaled"): "quoted",
}
PANELS = {
    "test accuracy (%)": {"mean of 10 masks": SAMPLED, "at the last step": FINAL},
    "expected share of kept weights (%)": {"all layers": "ones"},
}


def _claims(model: str) -> list[Claim]:
    name, where = plot.NAMES[model], {"model": model}
    lines = {("ticket", "trained weights"): FINAL, **dict.fromkeys(KINDS.items(), SAMPLED)}
    accuracies = [
        Claim(f"{name}, {what}: accuracy", paper, "%", partial(value, percent=DENSE, column=column, branch=branch),
              where, kind="value", source=SOURCES.get((model, what), ""))
        for ((branch, what), column), paper in zip(lines.items(), PRINTED[model], strict=True)
    ]  # fmt: skip
    rescaling = [
        Claim(f"{name}, {KINDS[kind]}: rescaled above not rescaled", 0.0, "points",
              partial(gain, percent=DENSE, column=SAMPLED, of=f"{kind}_rescaled", than=kind), where, source="paper")
        for kind in ("learned_supermask", "learned_supermask_constant")
    ]  # fmt: skip
    return [*accuracies, *rescaling]


CLAIMS = [claim for model in PRINTED for claim in _claims(model)]


def draw(tickets: pd.DataFrame, evaluations: pd.DataFrame) -> "plot.Figure":
    """Accuracy, and the share of ones in the masks, of each kind of learned mask and of the trained net."""
    kinds = {"ticket": "trained weights", **KINDS}
    parts = [tickets[(tickets["model"] == model) & (tickets["branch"] == each)] for model in FULL for each in kinds]
    tickets = pd.concat(parts)
    named = tickets["model"].map(plot.NAMES) + ": " + tickets["branch"].map(kinds)
    title = "Learned masks on nets that are not trained (Zhou et al. 2019, Table 1)"
    return plot.starts(tickets, title, named, PANELS)
