"""You et al. 2020: the mask of a ticket settles early in training, and can be drawn there.

Drawing Early-Bird Tickets (arXiv 1909.11957). The paper prunes channels of VGG-16 and PreResNet-101; here weights of
LeNet-300-100 on MNIST, and channels of ResNet-20 on CIFAR-10 by the paper's recipe, but each layer loses the same share
of its channels, where all layers compete in the authors' code. The rule is that of their text: five distances of
consecutive epochs below 0.1 (their code compares the newest of five masks with the four before).

Command
    lth figure you2020_early_bird --run data.root=DIR                                  both nets
    lth figure you2020_early_bird --run scale=reduced data.root=DIR                    14 epochs, of 20 and 160
    lth run -m experiment=you2020_early_bird replicate=1,2,3 data.root=DIR             LeNet-300-100 alone
Expect (the paper's abstract; its Tables 2 and 3 and two of its figures, which the authors show beside their code)
    The distance of masks of consecutive epochs falls below 0.1 early: tickets are drawn at epochs 9 to 31 of 160. Nets
    that are pruned there and trained on are comparable to the dense net (without 30% of the channels within 0.2 points
    of it on CIFAR-10, up to 0.6 worse on CIFAR-100 and 1.3 on ImageNet; without half up to 0.4 and 1.4, without 70% up
    to 1.2 and 3.0 points worse on the CIFARs), and to tickets from the final mask (VGG-16 on CIFAR-100, without 10, 30
    and 50%: -0.81, +0.86 and +0.32 points), and better than with their weights drawn anew (+0.16, +0.69 and +1.62).
    In the authors' code, scales of batch norm begin at 0.5, not 1, no images are held out, and the best epoch counts,
    by test images.
Cost
    A replicate of LeNet-300-100: 7 trainings of 18,340 steps, and 3 from where tickets are drawn.
    ResNet-20 reduced: 2 trainings of 2,464 steps of 256 images, and one from where the ticket is drawn.
Result (2026-11-29, LeNet-300-100, REDUCED: another net and data than the paper's, n = 3, mean and standard deviation;
    AMD EPYC, one thread; results/you2020_early_bird.md)
    Of 30% of the weights the ticket is drawn at epoch 6 of 20 in every replicate, the first that the rule allows, since
    already the first distance is below 0.1 (0.095 to 0.097); of 50% at 13.7 (1.5), after the middle of training; masks
    of 70% do not settle, and the last one is taken. So "early" holds at one of three densities. Trained on, they end
    0.10 (0.11) and 0.24 (0.19) points above the dense net, those of 70% 0.19 (0.13) below it; on average all are within
    0.4 points of tickets by the mask of the end, and 0.08 (0.16) to 0.16 points above their weights drawn anew; neither
    is settled. ResNet-20, n = 1, 14 of 160 epochs, half of the channels (25.1% of the weights): masks settle at epoch
    12; the two remaining epochs, at the lowest rate, lift the early-bird ticket only to 59.97%; the ticket from the
    final mask, trained again from the start, has 79.23%, the dense net 83.68%.
"""

from functools import partial

import pandas as pd

from lth import early_bird
from lth.analysis import plot
from lth.analysis.claim import FINAL, Claim, Measured, gain
from lth.analysis.claim.rows import by_replicate, measured, near

SOURCE = "authors"
COST = "a replicate: LeNet-300-100 10 trainings of 18,340 steps at most; ResNet-20 reduced 3 of 2,464"
# The nets are not the paper's, so that no verdict here is more than "agrees".
FULL = {
    "lenet_300_100": {"model": "vgg_16", "data": "cifar10", "steps": 18_340, "batch_size": 60},
    "resnet_20": {"model": "vgg_16", "data": "cifar10", "steps": 28_160, "batch_size": 256},
}
BIRD = "early_bird"
SLACK = 0.1  # points, ten of 10,000 test images: within them accuracies of these nets count as equal
LEVELS = {"lenet_300_100": (69.6, 50.0, 29.9), "resnet_20": (48.9, 25.1, 9.2)}
WHAT = {"lenet_300_100": "of the weights", "resnet_20": "of the weights, channels removed"}


def _before_half(rows: pd.DataFrame, percent: float) -> Measured | None:
    """Epochs from the one at which the ticket is drawn to the middle of training; masks that never settle are drawn at
    the end.
    """
    part = near(rows, percent, BIRD)
    if part.empty or "mask_distances" not in part:
        return None
    drawn = part.dropna(subset="mask_distances")
    return measured(by_replicate(drawn.assign(left=drawn.apply(_left, axis=1)), "left"), part)


def _left(row: "pd.Series[str]") -> float:
    text = row["mask_distances"]
    epochs = len(early_bird.matrix(text)) + 1  # the last has no mask: there is nothing to train after it
    return epochs / 2 - (early_bird.drawn_at(text, row.get("branch_settings")) or epochs)


def _claims(net: str, percent: float) -> list[Claim]:
    name, where = f"{plot.NAMES[net]}, {percent:g}% {WHAT[net]}", {"model": net}
    against = partial(gain, percent=percent, column=FINAL, of=BIRD)
    _, half, lowest = LEVELS[net]
    claims = [Claim(f"{name}: drawn before half of the epochs", 0.0, "epochs",
                    partial(_before_half, percent=percent), where)]  # fmt: skip
    if percent > half:
        claims.append(Claim(f"{name}: early-bird ticket less than {SLACK} points below dense, by", 0.0, "points",
                            partial(against, slack=SLACK), where))  # fmt: skip
    if percent > lowest:
        claims.append(Claim(f"{name}: early-bird ticket above the ticket by the mask of the end", 0.0, "points",
                            partial(against, than="ticket"), where))  # fmt: skip
        claims.append(Claim(f"{name}: early-bird ticket above its weights drawn anew", 0.0, "points",
                            partial(against, than=f"{BIRD}_reinitialize"), where))  # fmt: skip
    return claims


CLAIMS = [claim for net, levels in LEVELS.items() for percent in levels for claim in _claims(net, percent)]


def draw(tickets: pd.DataFrame, evaluations: pd.DataFrame) -> "plot.Figure":
    """Distances of the masks of each two epochs, and the epoch at which tickets are drawn."""
    return plot.distances(tickets, "Distance of masks in one training, by epoch (You et al. 2020)")
