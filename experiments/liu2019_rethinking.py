"""Liu et al. 2019: nets without some of their neurons, fine-tuned or trained from scratch.

Rethinking the Value of Network Pruning (arXiv 1810.05270). The paper has VGG-16 and ResNets, 160 epochs on CIFAR; here
its recipe trains LeNet-300-100 on MNIST, and a shorter one Conv-2 on CIFAR-10. Of its methods this is L1-norm pruning.

Command
    lth figure liu2019_rethinking --run data.root=DIR                                  both nets
    lth figure liu2019_rethinking --run scale=reduced data.root=DIR                    a tenth of the steps
    lth run -m experiment=liu2019_rethinking replicate=1,2,3 data.root=DIR             LeNet-300-100 alone
Expect (the paper's conclusion; its tables are of other nets)
    Pruned whole filters at a time, a net that is trained from scratch is as good as the fine-tuned one, or better:
    already after as many epochs as the dense net had (Scratch-E), the more so after as many operations (Scratch-B).
    For Conv-2 the rate here is a tenth of theirs, and images are not augmented.
Cost
    A replicate of LeNet-300-100: 137,500 steps, and for each of three levels 34,375 of fine-tuning, 137,500 (E) and
    275,000 (B). Of Conv-2: 28,125, and twice 7,031, 28,125 and 56,250; its masks do not make a step faster.
Result (2026-11-29, REDUCED: another net and data than the paper's, mean and standard deviation; AMD EPYC, one thread;
    results/liu2019_rethinking.md)
    LeNet-300-100, n = 3. At the end, 47.2 and 22.9% of the weights: fine-tuned 98.10 (0.12) and 97.59 (0.11)%, from
    scratch for as many steps 98.16 (0.13) and 97.62 (0.08), for as many operations, but twice the steps at most (the
    paper's rule, from memory; its code for CIFAR has none), 98.29 (0.09) and 97.74 (0.06): the paper's order in the
    mean. (By that bound these are 94 and 46% of the dense net's operations, and 23% at 11.4%.) At 11.4%, 38 and 12
    neurons, fine-tuned 96.80 (0.19)%; from scratch training breaks down at the rate of 0.1, which is made for nets with
    batch norm: the three end at 41, 97 and 21% after as many steps, at 11, 84 and 11% after twice as many (at early
    stop, before it breaks down, the means are 95.7 and 95.3%). A plain loop does the same: of two seeds one is at 19.8%
    at step 68,750, one at 47.8% (by hand). Conv-2 on CIFAR-10, n = 1, a tenth of the steps: dense 71.29%; without half
    of the filters and neurons (25.0% of the weights) fine-tuned 66.07%, from scratch for as many steps 68.78%, for as
    many operations 70.29%; without three quarters (6.3%) 54.30, 62.98 and 67.90%. So training from scratch is
    better there; but in this reduced setting fine-tuning has only 704 steps, and the scratch nets 2,816 and 5,632.
"""

from functools import partial

import pandas as pd

from lth.analysis import plot
from lth.analysis.claim import FINAL, Claim, gain

COST = "a replicate: LeNet-300-100 1.48 million steps, Conv-2 211,000; scale=reduced: a tenth of them"
# The nets are not the paper's, so that no verdict here is more than "agrees".
FULL = {
    "lenet_300_100": {"model": "vgg_16", "data": "cifar10", "steps": 137_500, "batch_size": 64},
    "conv_2": {"model": "vgg_16", "data": "cifar10", "steps": 112_500, "batch_size": 64},
}
LINES = {"ticket": "fine-tuned", **{branch: plot.LABELS[branch] for branch in ("scratch_e", "scratch_b")}}
LEVELS = {"lenet_300_100": (47.2, 22.9, 11.4), "conv_2": (25.0, 6.3)}
SLACK = 0.1  # points, ten of 10,000 test images: within them accuracies of these nets count as equal
CLAIMS = [
    Claim(f"{plot.NAMES[net]}, {percent:g}%, neurons removed: {plot.LABELS[branch]}: less than {SLACK} points "
          "below fine-tuned, by", 0.0, "points",
          partial(gain, percent=percent, column=FINAL, of=branch, than="ticket", slack=SLACK), {"model": net})
    for net, levels in LEVELS.items() for percent in levels for branch in ("scratch_e", "scratch_b")
]  # fmt: skip


def draw(tickets: pd.DataFrame, evaluations: pd.DataFrame) -> "plot.Figure":
    """Test accuracy in the end against percent of weights, a line for each way to train the pruned net."""
    pruned = tickets["level"] > 0
    lines = [tickets[~pruned | (tickets["branch"] == branch)].assign(how=name) for branch, name in LINES.items()]
    shown = pd.concat(lines, ignore_index=True).assign(branch="ticket").drop(columns="branch_settings", errors="ignore")
    title = "Neurons removed, then fine-tuned or trained from scratch (Liu et al. 2019)"
    return plot.sparsity(shown, title, by=["how"], rows="model", columns=(FINAL,))
