"""Gadhikar & Burkholz 2024: masks, signs and learning-rate rewinding. LeNet-300-100 on MNIST, Conv-2 on CIFAR-10.

A. Gadhikar, R. Burkholz: Masks, Signs, And Learning Rate Rewinding (arXiv 2402.19262), ICLR 2024. Masks of IMP, of
learning-rate rewinding (LRR) and at random, each on weights that are rewound, trained on and drawn anew: nine cells.
"Trained on" is W_T of the net that the mask was pruned from: of IMP, one level of LRR on its mask.

Command
    lth figure gadhikar2024_signs --run data.root=DIR                      the settings of Frankle & Carbin 2019
    lth figure gadhikar2024_signs --run scale=reduced data.root=DIR        a tenth of the steps
Expect (orders; the paper has ResNets on CIFAR and Tiny ImageNet, and none of these nets)
    LRR is better than IMP at finding masks and at training them; it is robust to signs that are flipped at the start of
    a level, IMP less so (its abstract). Signs of the end with new magnitudes train well, final magnitudes with random
    signs do not (Sign-In, arXiv 2504.12801, 2025, as notes of others tell: ResNet-50 on ImageNet, three masks, 74.9,
    73.8 and 73.7% against 70.9, 68.4 and 72.4%). LRR helps random masks too (the abstract).
Cost
    A replicate of LeNet-300-100: 115 trainings of 50,000 steps, of which 47 are those of frankle2019_fig4 and
    frankle2019_appendix (IMP, LRR, and their tickets reset and re-initialized); reduced: 79 of 5,000. A replicate of
    Conv-2: 89 of 20,000; reduced: 26 of 2,000. On one core of an AMD EPYC a step of LeNet takes 1.4 ms dense and 0.4
    at 3.6%, one of Conv-2 400 ms: new trainings of LeNet 40 minutes a replicate, Conv-2 reduced 6 hours.
Result (2026-11-29, LeNet-300-100, all steps, REDUCED: another net and other data than the paper's, n = 3, mean and
    standard deviation; Conv-2 REDUCED, to a tenth of the steps and levels 5, 11 and 14 too, n = 1; AMD EPYC, one
    thread; results/gadhikar2024_signs.csv)
    LeNet-300-100: accuracy at the end, 3.6 and 1.9% of the weights: IMP 98.28 (0.07) and 97.97 (0.08)%, LRR 96.08
    (0.24) and 90.25 (1.72)%. LRR is not better here, nor are its masks (rewound 97.08 (0.12) and 93.53 (0.34)%). With a
    quarter of the signs flipped LRR has 95.71 (0.17) and 91.14 (0.66)%, IMP 97.84 (0.10) and 97.19 (0.29)%: LRR changes
    by less than a point and is still 2.1 and 6.0 points below. One reason is that LRR trains at one rate here, without
    the paper's decay. Tried, n = 2: with a rate that falls to 0 (lth run -m experiment=frankle2019/lenet name=tried
    lr=cosine rewind=weights,learning_rate levels=15 replicate=1,2) LRR has 97.50 (0.38)% at 3.6%, IMP 98.22 (0.05)%:
    nearer by 1.5 points, and still below. In a tenth of the steps it was 0.1 and 0.8 points below IMP (n = 1, no longer
    in the table). A plain loop of PyTorch that goes on from its level 10 (97.82%) falls alike: 97.56, 97.25, 97.33,
    96.88 and 96.30% at levels 11 to 15, the first replicate here 97.43, 97.45, 97.25, 96.55 and 96.19% (by hand, one
    order of the data). On masks of IMP, weights drawn anew with the signs of the end have 98.22 (0.10) and 97.96
    (0.05)%, with those of the start 98.04 (0.08) and 97.76 (0.12)%, which is not settled; final magnitudes with random
    signs 96.45 (0.20) and 95.98 (0.12)%, a new draw 97.15 (0.15) and 96.57 (0.24)%: on these masks, signs matter more
    than magnitudes. On masks of LRR signs of the end, 97.39 (0.10) and 94.13 (0.63)%, are above random signs at both
    densities, but above a new draw, 96.58 (0.20) and 93.83 (0.30)%, at 3.6% only.
    Training on does not help masks of IMP (98.09 (0.17) and 97.95 (0.03)%), nor random masks (94.65 (0.29) and 92.82
    (0.48)%, drawn anew 95.87 (0.08) and 93.70 (0.33)%), unlike in the paper.
    Conv-2, 4.6% of the weights, is as in the paper: IMP has 65.77%, LRR 69.35%, the dense net 67.91%. Rewound, LRR's
    mask has 67.57%, and IMP's mask trained further 67.67%, so that LRR finds better masks and trains them better. With
    a quarter of the signs flipped LRR has 62.83%, IMP 54.49%. On IMP's mask, weights drawn anew have 44.74%, with the
    signs of the start 59.11%, with those of the end 59.44%, and final magnitudes with random signs 54.25%; on LRR's
    mask 45.58, 60.54, 60.59 and 55.26%. Random masks, each trained further from the one before, reach 61.15%, drawn
    anew 44.31%: there training further helps.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import pandas as pd

from lth.analysis import full, plot
from lth.analysis.claim import FINAL, Claim, between, gain

SOURCE = "quoted"
COST = "a replicate: LeNet-300-100 115 trainings of 50,000 steps, Conv-2 89 of 20,000; scale=reduced: 79 and 26"
# The nets are not the paper's, so that no verdict here is more than "agrees".
FULL = full.frankle2019("lenet_300_100", "conv_2", model="resnet_18", **full.EVERY_LEVEL)
IMP = {"rewind": "weights", "criterion": "magnitude"}
LRR = {"rewind": "learning_rate", "criterion": "magnitude"}
RANDOM = {"criterion": "random"}
MASKS = {"IMP": IMP, "LRR": LRR, "random": RANDOM}
SPARSE = {"lenet_300_100": (3.6, 1.9), "conv_2": (4.6,)}


def _within(percent: float, of: str, than: str) -> "partial[Any]":
    return partial(gain, percent=percent, of=of, than=than, column=FINAL)


def _claims(net: str, percent: float) -> list[Claim]:
    """Orders of the nets with about this percentage of the weights."""

    def claim(text: str, measure: Any, where: Mapping[str, Any], source: str = "") -> Claim:
        name = f"{plot.NAMES[net]}, {percent}%, {text}"
        return Claim(name, 0.0, "points", measure, {"model": net, **where}, source=source)

    def lrr_above_imp(branch: str) -> Any:
        ours, theirs = ({**which, "branch": branch} for which in (LRR, IMP))
        return partial(between, percent=percent, ours=ours, theirs=theirs, column=FINAL)

    signs = [
        claim(f"{name} mask: {better} above {worse}", _within(percent, of, than), MASKS[name])
        for name in ("IMP", "LRR")
        for better, of, worse, than in (
            ("signs of the end", "signs_end", "random signs", "random_signs"),
            ("signs of the end", "signs_end", "those of the start", "signed_reinitialize"),
            ("signs of the end", "signs_end", "a new draw", "reinitialize"),
        )
    ]
    return [
        claim("LRR above IMP", lrr_above_imp("ticket"), {}, "paper"),
        claim("LRR mask above IMP mask, both rewound", lrr_above_imp("reset"), {}, "paper"),
        claim("IMP mask: trained further above rewound", _within(percent, "continued", "reset"), IMP),
        claim(
            "random mask: trained further above a new draw", _within(percent, "ticket", "reinitialize"), RANDOM, "paper"
        ),
        claim("a quarter of the signs flipped: LRR above IMP", lrr_above_imp("flip_signs"), {}),
        *signs,
    ]


CLAIMS = [claim for net, percents in SPARSE.items() for percent in percents for claim in _claims(net, percent)]


def _masks(row: "pd.Series[str]") -> str:
    """Name of the main line that a row belongs to."""
    name = "random" if row["criterion"] == "random" else "LRR" if row["rewind"] == "learning_rate" else "IMP"
    return f"{plot.NAMES[row['model']]}, {name}"


def draw(tickets: pd.DataFrame, evaluations: pd.DataFrame) -> "plot.Figure":
    """Accuracy at the end and sign flips against percent of weights remaining, a row of panels for each net and kind of
    mask.
    """
    title = "Masks and starts, and signs with other magnitudes (Gadhikar & Burkholz 2024)"
    shown = tickets.assign(masks=tickets.apply(_masks, axis=1))
    missing = shown["sign_flips"].isna().sum() if "sign_flips" in shown else len(shown)
    notes = [f"{missing} of {len(shown)} trainings are of a version that did not count sign flips"] if missing else []
    return plot.sparsity(shown, title, rows="masks", columns=(FINAL, "sign_flips"), notes=notes)
