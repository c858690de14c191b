"""Morcos et al. 2019: tickets of one data set or optimizer, trained on another. LeNet-300-100 on MNIST.

One ticket to win them all: generalizing lottery ticket initializations across datasets and optimizers (arXiv
1906.02773). Each ticket, mask and W_0, of one run is trained by another, beside its mask permuted within the layers,
which is a better net than the paper's control: a mask at random over all layers, on new weights.

Command
    lth figure morcos2019_transfer --run data.root=DIR                    all arms; torchvision downloads Fashion-MNIST
    lth figure morcos2019_transfer --run scale=reduced data.root=DIR      a tenth of the steps
    lth run -m experiment=ARM,... replicate=1,2,3,4,5 data.root=DIR       some arms, such as morcos2019_transfer/sgd
Expect (the paper's text, Sections 4 and 5; its numbers are in plots only)
    VGG-19 and ResNet-50 with six data sets, from Fashion-MNIST to ImageNet, pruned globally by 20% a round and rewound
    to the end of an epoch, at convergence: tickets from a different data set are close to the target's own, often a
    small gap below, and far above random tickets; tickets found on more data are better; tickets of SGD and Adam are
    about as good on the other, and those of SGD on Adam better than random ones only where much is pruned. LeNet is not
    in the paper, nor is MNIST: here the layers are pruned by 20% a round (the last by 10%, and it is not drawn anew)
    and rewound to step 0, inputs are scaled by the statistics of their own data set, and "more data" is all of MNIST
    beside 5,000 of its images. SGD has no momentum here, neither optimizer weight decay, and rates stay.
Cost
    Full, a replicate: own tickets 19 trainings of 50,000 steps and 5 permuted masks for each of 4 runs (those of MNIST
    with Adam are shared with frankle2019_fig3, with SGD with frankle2019_appendix), and 10 for each of 6 transfers. On
    a busy core of an AMD EPYC a step takes 3.6 ms when dense and 0.4 ms at 7% of the weights.
Result (2026-11-29, arms without Fashion-MNIST, all steps, REDUCED: another net and other data than the paper's, mean
    and standard deviation, n = 3; AMD EPYC, one thread; results/morcos2019_transfer.md)
    At the end, 6.95% of the weights, against the target's own tickets, and above permuted masks of the transferred
    tickets, in points: on MNIST tickets of 5,000 images -0.43 (0.17) and 0.93 (0.12), of SGD -0.07 (0.08) and 1.34
    (0.28); on MNIST with SGD tickets of Adam 0.08 (0.05) and 1.39 (0.44); on 5,000 images tickets of all of MNIST 1.40
    (0.47) and 3.79 (0.17), which have seen the other images. With three replicates, tickets of SGD and Adam are
    interchangeable, and those of more data are better. Fashion-MNIST: not run, the data were not at hand.
"""

from functools import partial
from typing import Any

import pandas as pd

from lth.analysis import plot
from lth.analysis.claim import FINAL, Claim, between, gain

COST = "a replicate: 4 runs of 24 trainings of 50,000 steps, and 10 trainings for each of 6 transfers"
# The paper has no LeNet, so that nothing here is in its settings.
FULL = {"lenet_300_100": {"model": "vgg_19", "steps": 50_000, "batch_size": 60, "levels": None}}
PERCENT = 6.9
OWN = {"start.data": None, "start.optimizer": None}
Rows = dict[str, Any]
# Name of a run and of its tickets -> its rows.
TARGETS: dict[str, Rows] = {
    "Fashion-MNIST": {"data": "fashion_mnist"},
    "MNIST": {"data": "mnist", "optimizer": "Adam"},
    "5,000 images of MNIST": {"data": "mnist[:5000]"},
    "MNIST with SGD": {"data": "mnist", "optimizer": "SGD"},
}
# (run, run whose tickets it takes) -> what tells these rows from others of the run.
TRANSFERS: dict[tuple[str, str], Rows] = {
    ("Fashion-MNIST", "MNIST"): {"start.data": "mnist"},
    ("MNIST", "Fashion-MNIST"): {"start.data": "fashion_mnist"},
    ("MNIST", "5,000 images of MNIST"): {"start.data": "mnist[:5000]"},
    ("5,000 images of MNIST", "MNIST"): {"start.data": "mnist"},
    ("MNIST", "MNIST with SGD"): {"start.optimizer": "SGD"},
    ("MNIST with SGD", "MNIST"): {"start.optimizer": "Adam"},
}
SMALL, LARGE, SGD = "5,000 images of MNIST", "MNIST", "MNIST with SGD"


def _claims(target: str, source: str) -> list[Claim]:
    what, rows, taken = f"{target}, {PERCENT}%, tickets of {source}", TARGETS[target], TRANSFERS[target, source]
    same = {target, source} == {LARGE, SGD}  # of other data the text says "close", with a gap
    return [
        Claim(f"{what}: above their permuted masks", 0.0, "points",
              partial(gain, percent=PERCENT, than="shuffle", column=FINAL), {**rows, **taken}),
        *[Claim(f"{what}: beside own tickets", 0.0, "points",
                partial(between, percent=PERCENT, ours=taken, theirs=OWN, column=FINAL), rows, kind="value")] * same,
    ]  # fmt: skip


CLAIMS = [
    *(claim for target, source in TRANSFERS for claim in _claims(target, source)),
    Claim(f"{LARGE}, {PERCENT}%: own tickets above those of 5,000 images", 0.0, "points",
          partial(between, percent=PERCENT, ours=OWN, theirs=TRANSFERS[LARGE, SMALL], column=FINAL), TARGETS[LARGE]),
]  # fmt: skip


def _matches(row: "pd.Series[str]", wanted: Rows) -> bool:
    return all(row.get(column) == value for column, value in wanted.items())


def target(row: "pd.Series[str]") -> str:
    """The run that a row belongs to."""
    return next((name for name, wanted in TARGETS.items() if _matches(row, wanted)), "other")


def how(row: "pd.Series[str]") -> str:
    """The run that the ticket of a row was taken from."""
    pairs = [source for (name, source), wanted in TRANSFERS.items() if name == target(row) and _matches(row, wanted)]
    adam = " with Adam" if "start.optimizer" in TRANSFERS.get((target(row), LARGE), {}) else ""
    return f"of {pairs[0]}{adam}" if pairs else "own"


def draw(tickets: pd.DataFrame, evaluations: pd.DataFrame) -> "plot.Figure":
    """Accuracy at the end against percent of weights remaining, for each run that is trained."""
    named = tickets.assign(how=tickets.apply(how, axis=1), target=tickets.apply(target, axis=1))
    named = named.sort_values("how", key=lambda each: each != "own", kind="stable")  # first in every panel
    title = "Tickets of other data and optimizers, LeNet-300-100 (after Morcos et al. 2019)"
    return plot.sparsity(named, title, by=["how"], rows="target", columns=(FINAL,))
