"""Frankle et al. 2019 (Stabilizing the Lottery Ticket Hypothesis, arXiv 1903.01611): ResNet-50 on ImageNet, rewound.

Command
    lth figure frankle2019b_stabilizing --run data.root=DIR devices=4 workers=12      the paper's settings, on 4 GPUs
Expect (the paper, top-1 accuracy in percent after 90 epochs, by the epoch of rewinding and the share of weights left)
              70%    50%    30%    20%    10%
    random  75.55  74.79  73.43  72.31  69.32      a random re-initialization
    0       75.52  74.78  73.62  72.24  69.43
    2       75.84  75.52  74.69  73.81  71.20
    4       76.25  76.14  75.96  75.35  73.18
    6       76.25  76.11  75.93  75.50  73.61
    10      76.25  76.16  75.93  75.54  73.66
    As shrinkbench has them of the first version of the paper (results/lottery-tix/fig5-*.csv); the third has a plot.
    Its text: 90 epochs of batches of 1,024, rate 0.4 with a warm-up of 5 epochs and drops at 30, 60 and 80, pruned in
    one go; dense 76.1 (0.1)%. From memory: globally by magnitude, weight decay 1e-4, momentum 0.9. What the paper
    prunes is not known here; we prune convolutions, shortcuts and output layer. DIR holds train/ and val/ with a folder
    for each class; the 50,000 images of val/ are the test set, and 10,000 of train/ are held out to choose by.
Cost
    A replicate: 31 trainings of 112,590 steps (90 epochs), each days on one GPU; and 1.3 million images on disk.
Result
    Not run: no ImageNet here. Its paths (folders of images, crops, streaming, several processes, rewinding) are tested
    on a synthetic image folder.
"""

from functools import partial

import pandas as pd

from lth.analysis import plot
from lth.analysis.claim import FINAL, Claim, value

EPOCH = 1251  # steps
SOURCE = "quoted"
COST = "31 trainings of ResNet-50, 112,590 steps of 1,024 images, for each replicate"
FULL = {"torchvision": {"model.name": "resnet50", "data": "image_folder", "steps": 90 * EPOCH, "batch_size": 1024}}
LEFT = (70, 50, 30, 20, 10)
REWOUND = {
    0: (75.52, 74.78, 73.62, 72.24, 69.43),
    2: (75.84, 75.52, 74.69, 73.81, 71.20),
    4: (76.25, 76.14, 75.96, 75.35, 73.18),
    6: (76.25, 76.11, 75.93, 75.50, 73.61),
    10: (76.25, 76.16, 75.93, 75.54, 73.66),
}
RANDOM = (75.55, 74.79, 73.43, 72.31, 69.32)


def _claim(name: str, epoch: int, percent: int, accuracy: float, branch: str = "ticket") -> Claim:
    measure = partial(value, percent=percent, column=FINAL, branch=branch)
    where = {"rewind.step": epoch * EPOCH or (None, 0)}  # a table without other steps has no such column
    return Claim(f"ResNet-50, {name}, {percent}%: accuracy", accuracy, "%", measure, where, kind="value")


CLAIMS = [
    *(_claim("re-initialized", 0, *each, "reinitialize") for each in zip(LEFT, RANDOM, strict=True)),
    *(_claim(f"epoch {epoch}", epoch, *each) for epoch, row in REWOUND.items() for each in zip(LEFT, row, strict=True)),
]


def draw(tickets: pd.DataFrame, evaluations: pd.DataFrame) -> "plot.Figure":
    """Test accuracy at the end against percent of weights remaining, a line for each epoch of rewinding."""
    step = tickets["rewind.step"].fillna(0) if "rewind.step" in tickets else pd.Series(0, index=tickets.index)
    share = (90 * step / tickets["steps"]).round().astype(int)
    title = "ResNet-50 on ImageNet, rewound (Frankle et al. 2019, arXiv 1903.01611)"
    return plot.during(tickets.assign(how=share.map("epoch {}".format)), evaluations, (1.0,), title, by=["how"])
