"""Frankle et al. 2021: sanity checks of pruning at initialization, on LeNet-300-100 and MNIST.

Pruning Neural Networks at Initialization: Why are We Missing the Mark? (arXiv 2009.08576). Its nets are ResNet-20 and
VGG-16 on CIFAR-10 and larger ones; a small net can agree with its findings, and reproduces none.

Command
    lth figure frankle2021_missing_the_mark --run data.root=DIR                    25,000 steps, n = 3
    lth figure frankle2021_missing_the_mark --run scale=reduced data.root=DIR      2,500 steps
Expect (the paper's text, Sections 1, 3 to 5 and 7, on matching and extreme sparsities, 98.2% the highest that it names)
    SNIP, GraSP, SynFlow and magnitude at initialization are as accurate or more so with the mask shuffled within each
    layer (SynFlow more so where few weights are left), and with the weights re-initialized; magnitude pruning after
    training loses accuracy under both. If the most important weights are removed instead (inverted scores), SNIP,
    SynFlow and magnitude at initialization lose accuracy and GraSP does not. All of them, and tickets from step 0,
    which neither check harms, stay below magnitude pruning after training, which goes on from the trained weights with
    the whole schedule.
    Here: Adam at 1.2e-3, batch 60, 27 epochs in place of SGD at 0.1, batch 128, 160 epochs; Glorot's initialization in
    place of He's; scores of one batch of 60 (the authors' code: some examples of each class), of SynFlow 100 rounds.
Cost
    A replicate: 121 trainings of 25,000 steps, 25 minutes of one core in all, and a minute for the masks of SynFlow.
    Reduced: a tenth of the steps.
Result (2026-12-01, REDUCED: another net and data than the paper's, n = 3, mean (deviation) at the end; AMD EPYC, one
    thread; results/frankle2021_missing_the_mark.md)
    Dense 98.1%. Shuffled or re-initialized, masks of SNIP, GraSP, SynFlow and magnitude at initialization lose 0.4
    points at most at 21, 6.9 and 1.8% of the weights; all of these nets have 95.4 to 95.9% at 1.8%. With inverted
    scores SNIP loses 0.5, 1.6 and 7.4 points, magnitude at initialization 0.2, 9.0 and 74, SynFlow everything (11.35%),
    GraSP 0.4 at most. Beyond the paper's range, at 0.9%, shuffled masks lose 1.0 to 1.7 points, re-initialized ones 0.5
    at most, and inverted GraSP is 1.0 above GraSP.
    Magnitude after training has 98.27 (0.07)% at 21%, above these tickets by 0.5 to 0.6 points (of SNIP not settled),
    97.51 (0.04)% at 6.9%, level with them, and 88.0 (3.1)% at 1.8%, 7.5 to 7.8 points below them, which three
    replicates do not settle. Shuffled it loses 0.5 (0.2), 0.7 (0.1) and 19 (25) points, re-initialized 0.3 (0.2), -0.2
    (0.1) and 1.3 (4.0). Unlike in the paper, tickets from step 0 are above it at 6.9%, with 97.83 (0.06)%, perhaps
    because the rate of Adam does not drop here (tried in gadhikar2024_signs), and they lose 0.5 (0.1), 0.9 (0.2) and 11
    (12) points when shuffled. Both have one threshold for all layers, which leaves the output layer too little: of its
    1,000 weights tickets keep 17 at 1.8% and 8 at 0.9%, masks of SNIP 383 and 304 (counted by hand in the masks of
    replicate 1). The dense net of replicate 3 was trained twice, on two machines, with other last digits: magnitude
    after training goes on from one, tickets from the other. Replicates 1 and 2, except for GraSP and magnitude after
    training, come from a different machine, on which GraSP gave the same 40 nets to the last bit.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import pandas as pd

from lth.analysis import plot
from lth.analysis.claim import FINAL, Claim, between, gain
from lth.analysis.claim.rows import select
from lth.analysis.variants import merged

COST = "a replicate: 121 trainings of 25,000 steps, most of them sparse; scale=reduced: a tenth"
# The net and the data are not the paper's, so that no verdict here is more than "agrees".
FULL = {"lenet_300_100": {"model": "resnet_20", "data": "cifar10", "steps": 25_000, "batch_size": 60}}
BEFORE, AFTER, TICKET = "magnitude at initialization", "magnitude after training", "ticket from step 0"
METHODS: dict[str, dict[str, Any]] = {
    "SNIP": {"criterion": "snip"},
    "GraSP": {"criterion": "grasp"},
    "SynFlow": {"criterion": "synflow"},
    BEFORE: {"criterion": "magnitude", "train_from": 1},
    AFTER: {"criterion": "magnitude", "train_from": None, "rewind": "learning_rate"},
    TICKET: {"criterion": "magnitude", "train_from": None, "rewind": "weights"},
}
EARLY = ["SNIP", "GraSP", "SynFlow", BEFORE]
PERCENTS = (21.0, 6.9, 1.8)  # at the first, magnitude after training matches the dense net; the last is 98.2% sparse
SLACK = 0.5  # points, within which accuracies of this net count as equal


def _unharmed(methods: Sequence[str], check: str) -> list[Claim]:
    return [
        Claim(f"{method}, {percent}%: {plot.LABELS[check]} loses less than {SLACK} points, by", 0.0, "points",
              partial(gain, percent=percent, of=check, than="ticket", slack=SLACK, column=FINAL), METHODS[method])
        for method in methods for percent in PERCENTS
    ]  # fmt: skip


def _harmed(methods: Sequence[str], check: str) -> list[Claim]:
    return [
        Claim(f"{method}, {percent}%: above {plot.LABELS[check]}", 0.0, "points",
              partial(gain, percent=percent, than=check, column=FINAL), METHODS[method])
        for method in methods for percent in PERCENTS
    ]  # fmt: skip


CLAIMS = [
    *_unharmed([*EARLY, TICKET], "shuffle"),
    *_unharmed([*EARLY, TICKET], "reinitialize"),
    *_harmed([AFTER], "shuffle"),
    *_harmed([AFTER], "reinitialize"),
    *_harmed(["SNIP", "SynFlow", BEFORE], "invert"),
    *_unharmed(["GraSP"], "invert"),
    *(Claim(f"{percent}%: {AFTER} above {method}", 0.0, "points",
            partial(between, percent=percent, ours=METHODS[AFTER], theirs=METHODS[method], column=FINAL))
      for method in (*EARLY, TICKET) for percent in PERCENTS),
    Claim("SynFlow, 1.8%: shuffled mask above it", 0.0, "points",
          partial(gain, percent=1.8, of="shuffle", than="ticket", column=FINAL), METHODS["SynFlow"]),
]  # fmt: skip


def draw(tickets: pd.DataFrame, evaluations: pd.DataFrame) -> "plot.Figure":
    """Accuracy at the end, a row of panels for each method, the dense net in all of them."""
    dense, pruned = tickets[tickets["level"] == 0].drop_duplicates("replicate"), tickets[tickets["level"] > 0]
    parts = [pd.concat([dense, select(pruned, where)]).assign(how=name) for name, where in METHODS.items()]
    shown = merged(pd.concat(parts, ignore_index=True), ["how"])
    title = "Sanity checks of masks, LeNet-300-100 on MNIST (Frankle et al. 2021)"
    return plot.sparsity(shown, title, by=["model"], rows="how", columns=(FINAL,), above=0.9)
