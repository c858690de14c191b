"""Renda et al. 2020: rewinding weights, rewinding the learning rate, and fine-tuning. ResNet-20 on CIFAR-10.

A. Renda, J. Frankle, M. Carbin: Comparing Rewinding and Fine-tuning in Neural Network Pruning (arXiv 2003.02389), ICLR
2020. LeNet-300-100 on MNIST is not in the paper: it is of a size that a CPU can do, with a rate that drops as theirs.

Command
    lth figure renda2020_rewinding --run data.root=DIR                      the paper's settings
    lth figure renda2020_rewinding --run scale=reduced data.root=DIR        1,000 steps of ResNet-20, 1,200 of LeNet
Expect (their released results: ResNet-20, iterative, median test accuracy in percent at the best length of retraining)
    density           .80    .512   .262   .168   .107
    fine-tuning       91.96  91.34  91.00  90.35  89.78
    weights           91.76  91.94  91.85  91.31  90.91
    learning rate     92.25  92.01  91.79  91.49  90.76
    Dense 91.71 (0.23). Rewinding is safe if 25 to 90% of the training is repeated (their code for the figures; that
    Nesterov's momentum is the paper's is from memory). The best length is that of the highest validation accuracy, 30,
    10, 90, 90 and 30 of 182 epochs for fine-tuning, 110 to 170 for the others; at 130, as nearly here, their medians
    are (by hand, from their data) 91.86, 91.75, 90.91, 90.08, 88.58, then 92.07, 92.19, 91.79, 91.62, 90.91 and 92.25,
    92.11, 92.21, 91.78, 91.22. Unlike here, the test set is four fifths of the test images, the rest the validation
    set; shortcuts of the first block have weights; their released code has plain momentum, trains on all 50,000 images,
    of which we hold out 5,000 (so that 71,108 steps are 202 epochs, not 182), standardizes each image by its own mean
    and deviation, and decays batch norm too.
    Here 75% of the training is repeated, and fine-tuning goes on for as many steps at the last rate. Our optimizer
    starts anew at each level; the checkpoints to which they rewind weights have its momentum too.
Cost
    A replicate of ResNet-20: 31 trainings, one of 71,108 steps and thirty of 53,331. Of LeNet-300-100: 145, one of
    12,000 and 18 each of 10,800, 6,000 and 1,200 for weights and for fine-tuning, and of 10,800 and 6,000 for the
    learning rate. On one core of an AMD EPYC a step of ResNet-20 takes 0.2 seconds, reduced half an hour a replicate;
    LeNet, in full, 11 minutes.
Result (2026-11-30, REDUCED; AMD EPYC, one thread; results/renda2020_rewinding.csv)
    LeNet-300-100, another net and data than the paper's, n = 3, mean and standard deviation: accuracy at the end, 3.6
    and 1.9% kept, dense 98.22%: weights rewound with 90% repeated 98.17 (0.12) and 97.96 (0.05)%, with 50% 97.33 (0.09)
    and 97.02 (0.14), with 10% 94.09 (0.54) and 91.69 (0.64); the learning rate with 90% 97.79 (0.22) and 97.51 (0.25),
    with 50% 97.66 (0.08) and 97.33 (0.13); fine-tuning for 90% 97.31 (0.08) and 96.89 (0.07), for 50% 97.03 (0.13) and
    96.53 (0.07), for 10% 95.68 (0.29) and 94.33 (0.40). So for the same number of steps, weight rewinding is above
    fine-tuning with 90% (0.85 and 1.07 points) and below it with 10% (1.6 and 2.6); learning-rate rewinding is above
    fine-tuning with 50% (0.64 and 0.80 points), and with 90% by 0.5 and 0.6, which is not settled. The dense nets of
    those that are fine-tuned, 98.18 (0.14)%, have the same seeds, but were trained on another processor, with other
    last digits. With 90% repeated, signs of kept weights flip in the first levels, 7.3 and 2.9% at 80% of the weights,
    at most 0.1% at 21%; with less repeated hardly any, and none where they are fine-tuned.
    ResNet-20, 1,000 of 71,108 steps and three levels, bfloat16, n = 1: accuracy at the end, 51.2, 26.2 and 10.7% kept,
    dense 68.59%: learning rate rewound 72.97, 75.47 and 76.50%, weights rewound 70.60, 73.26 and 74.00%, fine-tuned
    68.88, 68.67 and 65.84%. So both are above fine-tuning at 10.7%, by 10.7 and 8.2 points (the paper: 0.98 and 1.13),
    and the learning rate above the weights at each level. A net of 1,000 steps is far from trained, so that each level
    that repeats high rates makes it better: the accuracies say nothing of the paper's, the order does. 86 minutes
    beside other processes.
"""

from functools import partial
from typing import Any

import pandas as pd

from lth.analysis import full, plot
from lth.analysis.claim import FINAL, Claim, between, value

SOURCE = "authors"
COST = "a replicate: ResNet-20 1.7 million steps, LeNet-300-100 1 million; scale=reduced: a tenth or less"
FULL = {
    "resnet_20": {"data": "cifar10", "steps": 71_108, "batch_size": 128, **full.EVERY_LEVEL},
    # Not a net of the paper, so that no verdict on it is more than "agrees".
    "lenet_300_100": {"model": "resnet_20", "data": "mnist", "steps": 12_000, "batch_size": 60, **full.EVERY_LEVEL},
}
RESNET, LENET = {"model": "resnet_20"}, {"model": "lenet_300_100"}
METHODS = {"fine_tune": "fine-tuning", "weights": "weights", "learning_rate": "learning rate"}
PRINTED = {
    80.0: (91.96, 91.76, 92.25),
    51.2: (91.34, 91.94, 92.01),
    26.2: (91.00, 91.85, 91.79),
    16.8: (90.35, 91.31, 91.49),
    10.7: (89.78, 90.91, 90.76),
}
TUNED = {"rewind": "fine_tune", "rewind.rate": "last"}
# Percent of the steps of training for which LeNet is retrained -> its rows, in full and reduced.
FINE_TUNED = {90: {**TUNED, "rewind.steps": (10_800, 1080)}, 50: {**TUNED, "rewind.steps": (6000, 600)}}
REWOUND = {
    method: {90: {"rewind": method, "rewind.step": (1200, 120)}, 50: {"rewind": method, "rewind.step": (6000, 600)},
             10: {"rewind": method, "rewind.step": (10_800, 1080)}}
    for method in ("weights", "learning_rate")
}  # fmt: skip


def _rows(method: str) -> dict[str, Any]:
    return TUNED if method == "fine_tune" else {"rewind": method}


def _above(
    text: str, where: dict[str, Any], percent: float, ours: dict[str, Any], theirs: dict[str, Any], source: str = ""
) -> Claim:
    measure = partial(between, percent=percent, ours=ours, theirs=theirs, column=FINAL)
    return Claim(f"{plot.NAMES[where['model']]}, {percent}%: {text}", 0.0, "points", measure, where, source=source)


CLAIMS = [
    *(
        Claim(f"ResNet-20, {percent}%, {METHODS[method]}: accuracy", paper, "%",
              partial(value, percent=percent, column=FINAL), {**RESNET, **_rows(method)}, kind="value")
        for percent, row in PRINTED.items()
        for method, paper in zip(METHODS, row, strict=True)
    ),
    *(
        _above(f"{METHODS[method]} rewound above fine-tuning", RESNET, 10.7, _rows(method), TUNED, "paper")
        for method in ("learning_rate", "weights")
    ),
    *(
        claim
        for percent in (3.6, 1.9)
        for claim in (
            *(
                _above(f"{METHODS[method]} rewound, {share}% repeated, above fine-tuning as long", LENET, percent,
                       REWOUND[method][share], FINE_TUNED[share], "paper")
                for method, share in (("learning_rate", 90), ("learning_rate", 50), ("weights", 90))
            ),
            _above("weights rewound, 50% repeated, above 10%", LENET, percent, REWOUND["weights"][50],
                   REWOUND["weights"][10]),
        )
    ),
]  # fmt: skip


def _how(row: "pd.Series[Any]") -> str:
    """Name of a line: the method and how long it retrains, as a share of the training, which rewinding repeats."""
    steps = row["rewind.steps"] if row["rewind"] == "fine_tune" else row["steps"] - row["rewind.step"]
    share = f"{METHODS[row['rewind']]}, {100 * steps / row['steps']:.0f}%"
    return share if row.get("rewind.rate") == "last" else f"{share} repeated"


def draw(tickets: pd.DataFrame, evaluations: pd.DataFrame) -> "plot.Figure":
    """Accuracy at the end and sign flips against percent of weights remaining, a line for each method."""
    title = "Weights rewound, learning rate rewound, fine-tuning (Renda et al. 2020)"
    shown = tickets.assign(how=tickets.apply(_how, axis=1))
    if "sign_flips" in shown:  # of trained nets that were rewound; those of the dense net are many times more
        shown["sign_flips"] = shown["sign_flips"].where(shown["level"] > 0)
    return plot.sparsity(shown, title, by=["how"], rows="model", columns=(FINAL, "sign_flips"))
