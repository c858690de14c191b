"""Ramanujan et al. 2020: accuracy of subnetworks of untrained nets, chosen by edge-popup, at three densities.

Command
    lth figure ramanujan2020_edge_popup --run data.root=DIR                    in full
    lth figure ramanujan2020_edge_popup --run scale=reduced data.root=DIR      a tenth of the steps (Conv-2: 2.5%)
Expect (the paper, from memory; its figures have no numbers for these nets, and LeNet is in its code alone)
    Nets that are not trained at all have a subnetwork of high accuracy. It is best where about half of the weights are
    chosen, and worse where few are. Their code trains Conv-2 on all images, flipped and cropped at random, ours on
    45,000 as they are.
Cost
    A replicate of LeNet-300-100: seven trainings of 43,000 steps, of which the three of scores take about four times as
    long as the others. Reduced: a tenth. Conv-2: seven of 35,200 steps, reduced 880.
Result (2026-11-29, LeNet-300-100 in full, n = 3, mean and standard deviation; Conv-2 REDUCED to 2.5% of the steps,
    n = 1; AMD EPYC, one thread; results/ramanujan2020_edge_popup.csv)
    Chosen weights of untrained nets reach, at the end, 97.84 (0.03)% where half of them are chosen, 97.31 (0.06)% of a
    quarter and 94.86 (0.14)% of an eighth; more than half were not tried. Trained tickets of the same densities have
    98.41 (0.05), 98.42 (0.04) and 98.36 (0.06)%, the dense net 98.54 (0.10)%. Conv-2: chosen weights of the untrained
    net 58.90% where half are chosen, 53.32% of a quarter and 44.13% of an eighth; trained tickets 63.41, 57.31 and
    46.74%, dense 63.63%. Dense nets and tickets train at the scores' rate, where the paper's dense nets have rates of
    their own; at 0.1 the dense Conv-2 stays at chance, so that it has the 0.01 of the authors' dense nets.
"""

from functools import partial

import pandas as pd

from lth.analysis import plot
from lth.analysis.claim import FINAL, Claim, Measured
from lth.analysis.claim.rows import by_replicate, measured, near

SOURCE = "memory"
COST = "a replicate: seven trainings of 43,000 steps, of Conv-2 of 35,200; scale=reduced: a tenth, of Conv-2 2.5%"
FULL = {
    "lenet_300_100": {"data": "mnist", "steps": 43_000, "batch_size": 128},
    "conv_2": {"data": "cifar10", "steps": 35_200, "batch_size": 128},
}
POPUP, OTHER = "edge_popup", {"lenet_300_100": "Conv-2"}
CHANCE = {"lenet_300_100": 11.35, "conv_2": 10.0}  # of the class that most test images have


def _half_above_eighth(rows: pd.DataFrame) -> Measured | None:
    """Accuracy with 50% of the weights chosen above that with 12.5%, in points."""
    parts = [near(rows, percent, POPUP) for percent in (50, 12.5)]
    if any(part.empty for part in parts):
        return None
    half, eighth = (by_replicate(part, FINAL) for part in parts)
    return measured(100 * (half - eighth).dropna(), parts[0])


def _above_chance(rows: pd.DataFrame, *, chance: float) -> Measured | None:
    """Accuracy with 50% of the weights chosen above chance, in points."""
    part = near(rows, 50, POPUP)
    return None if part.empty else measured(100 * by_replicate(part, FINAL) - chance, part)


CLAIMS = [
    claim
    for net, chance in CHANCE.items()
    for claim in (
        Claim(f"{plot.NAMES[net]}, untrained: 50% of the weights, chosen, above chance", 0.0, "points",
              partial(_above_chance, chance=chance), {"model": net}, net=OTHER.get(net, "")),
        Claim(f"{plot.NAMES[net]}, untrained: 50% of the weights, chosen, above 12.5%", 0.0, "points",
              _half_above_eighth, {"model": net}, net=OTHER.get(net, "")),
    )
]  # fmt: skip


def draw(tickets: pd.DataFrame, evaluations: pd.DataFrame) -> "plot.Figure":
    """Test accuracy in the end against percent of weights."""
    title = "Chosen weights of untrained nets, beside trained ones (Ramanujan et al. 2020)"
    return plot.during(tickets, evaluations, [0.2, 1.0], title, by=["model"], rows="model")
