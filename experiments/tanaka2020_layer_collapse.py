"""Tanaka et al. 2020: layer collapse. A net with six hidden layers on MNIST, pruned at initialization down to 0.1%.

Pruning neural networks without any data by iteratively conserving synaptic flow (arXiv 2006.05467). Its nets are VGG
and ResNet on CIFAR and Tiny ImageNet; a small net can agree with its findings, and reproduces none.

Command
    lth figure tanaka2020_layer_collapse --run data.root=DIR                    3,000 steps, n = 3
    lth figure tanaka2020_layer_collapse --run scale=reduced data.root=DIR      300 steps
Expect (the paper's text: SynFlow outperforms the others below 10^-1.5 of the weights, and loses no layer)
    The authors' results for VGG-16 on CIFAR-100, 3 seeds: accuracy at 10^-3 of the weights, where chance is 1%: SynFlow
    40.96%, SNIP 15.48%, GraSP 3.51%, magnitude and random 1%, of 72.8% when dense. Magnitude loses 4 or 5 of 14 layers
    there; SNIP and GraSP lose none before 10^-3.75, SynFlow none before 10^-6.
    Here: SNIP and GraSP are scored on one batch of 60 images, theirs on ten images per class, and nets trained with
    Adam at one rate, theirs with SGD and momentum for 160 epochs. A random mask may keep some weights in each layer,
    yet leave no path through the net.
Cost
    A replicate: 30 trainings of 3,000 steps, 75 seconds of one core in all, with the masks.
Result (2026-11-27, REDUCED: another net and data than the paper's, n = 3, mean and standard deviation; AMD EPYC, one
    thread; results/tanaka2020_layer_collapse.md)
    At the end, at 0.1% of the weights SynFlow keeps some in all seven layers and has 24.9 (2.9)% accuracy; SNIP and
    GraSP, unlike in VGG-16, and magnitude lose a layer, one random mask of three does, and all of them have 11.35%,
    that of a net that is cut. At 1% SynFlow has 70.7 (4.0)%, GraSP 48.8 (12.0), SNIP 42.8 (14.9), magnitude and random
    11.35: that SynFlow is above GraSP and SNIP there, three replicates do not settle.
"""

from functools import partial
from typing import Any

import pandas as pd

from lth.analysis import plot
from lth.analysis.claim import FINAL, Claim, Measured, between, margin, value

COST = "a replicate: 30 trainings of 3,000 steps, about a minute of one core; scale=reduced: a tenth"
# The net and the data are not the paper's, so that no verdict here is more than "agrees".
FULL = {"mlp": {"model": "vgg_16", "data": "cifar100", "steps": 3000, "batch_size": 60}}
KEPT = "layers_kept"
SYNFLOW: dict[str, Any] = {"criterion": "synflow"}
NAMED = {"snip": "SNIP", "grasp": "GraSP", "synflow": "SynFlow"}
OTHERS = ("snip", "grasp", "magnitude", "random")
PERCENTS = (1.0, 0.1)
DIGIT = 11.35  # percent of the test images that show a 1, the most frequent digit: the accuracy of a net that is cut


def _with_layers(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows with a share of layers that keep weights; those that have none keep all."""
    return rows.assign(**{KEPT: rows.get(KEPT, pd.Series(1.0, rows.index)).fillna(1.0)})


def layers(rows: pd.DataFrame, *, percent: float) -> Measured | None:
    """Percent of the layers that keep weights."""
    return value(_with_layers(rows), percent=percent, column=KEPT)


def lost(rows: pd.DataFrame, *, percent: float) -> Measured | None:
    """Percent of the layers that keep none."""
    return margin(_with_layers(rows), limit=100, percent=percent, column=KEPT)


CLAIMS = [
    *(Claim(f"{NAMED[kept]}, 0.1% of the weights: layers that keep some", 100.0, "%", partial(layers, percent=0.1),
            {"criterion": kept}, kind="value", source="" if kept == "synflow" else "authors")
      for kept in ("synflow", "snip", "grasp")),
    Claim("magnitude, 0.1% of the weights: layers that lose all", 0.0, "%", partial(lost, percent=0.1),
          {"criterion": "magnitude"}, source="authors"),
    Claim("SynFlow, 0.1% of the weights: accuracy above that of a net that is cut", 0.0, "points",
          partial(margin, limit=DIGIT, percent=0.1, column=FINAL, above=True), SYNFLOW),
    *(Claim(f"{percent:g}% of the weights: accuracy of SynFlow above {NAMED.get(other, other)}", 0.0, "points",
            partial(between, percent=percent, ours=SYNFLOW, theirs={"criterion": other}, column=FINAL))
      for percent in PERCENTS for other in OTHERS),
]  # fmt: skip


def draw(tickets: pd.DataFrame, evaluations: pd.DataFrame) -> "plot.Figure":
    """Accuracy, and the share of the layers that keep weights, against percent of weights remaining."""
    title = "Six hidden layers of 100 on MNIST, pruned at initialization (Tanaka et al. 2020)"
    shown = _with_layers(tickets).assign(how=tickets["criterion"].replace(NAMED))
    return plot.sparsity(shown, title, by=["how"], columns=(FINAL, KEPT))
