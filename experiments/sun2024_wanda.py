"""Sun et al. 2024: Wanda, pruning by weights and activations, without training afterwards. LeNet-300-100 on MNIST.

A Simple and Effective Pruning Approach for Large Language Models (arXiv 2306.11695). A score is |w| times the norm of
the weight's input over a batch, here the first training batch of 60 images, and is compared with those of the same
output. The paper prunes language models, one block after the other, with the inputs that the pruned blocks before it
give; here its criterion prunes a small net, all layers at once, with the inputs of the net before pruning.

Command
    lth figure sun2024_wanda --run data.root=DIR                    dense nets trained as in Frankle & Carbin 2019
    lth figure sun2024_wanda --run scale=reduced data.root=DIR      a tenth of the steps, fewer levels
Expect (the abstract: Wanda is significantly better than magnitude; the authors' table of LLaMA-2 7B)
    Half of the weights, perplexity on WikiText-2 at a context of 4,096: dense 5.12, Wanda 6.42, magnitude pruning
    14.89: Wanda loses far less. None of these numbers is for a net like ours.
Cost
    A replicate: one training of 50,000 steps, two minutes on an idle core, and 72 evaluations.
Result (2026-12-01, REDUCED: a small net, not a language model; n = 3, mean and standard deviation; AMD EPYC, one
    thread; results/sun2024_wanda.md)
    The output layer is not pruned, as in the authors' code. Wanda is not better here, but worse: at 51% of the weights
    97.50 (0.10)%, magnitude within a layer 97.90 (0.15), within an output 97.92 (0.20); at 21% 94.48 (0.60), 96.16
    (0.21) and 95.88 (0.17)%; at 11% 88.47 (3.55), 92.43 (0.15) and 91.13 (1.57)%, which is not settled. Its scores
    within a layer have 97.81 (0.17), 94.67 (0.74) and 90.02 (2.78)%.
    Where the output layer loses the same share as the others (schedule.output=0.2), all of them lose far more, and
    Wanda less from 21% down: there it had 86.59 (0.83)%, magnitude within a layer 77.47 (3.49)%, at 10.7% 61.05 (2.41)
    and 35.63 (8.81)%, Wanda's scores within a layer 87.45 (0.55) and 64.24 (3.93)% (n = 3, no longer in the table). So
    the norms of the inputs help this net only where its output layer is pruned.
"""

from functools import partial

import pandas as pd

from lth.analysis import plot
from lth.analysis.claim import FINAL, Claim, between

COST = "a replicate: one training of LeNet-300-100, 50,000 steps, and 72 evaluations"
# The net is not the paper's, so that no verdict here is more than "agrees".
FULL = {"lenet_300_100": {"model": "llama_2_7b", "data": "wikitext", "steps": 50_000}}
WANDA = {"criterion": "wanda", "structure": "row"}
SIZE = {"criterion": "magnitude", "structure": "weight"}
NAMES = {
    ("wanda", "row"): "Wanda",
    ("wanda", "weight"): "Wanda's score, within a layer",
    ("magnitude", "weight"): "size of the weights, within a layer",
    ("magnitude", "row"): "size of the weights, within an output",
}
CLAIMS = [
    Claim(f"{percent}%, not trained again: Wanda above the size of the weights", 0.0, "points",
          partial(between, percent=percent, ours=WANDA, theirs=SIZE, column=FINAL))
    for percent in (51.4, 21.2, 11.0)
]  # fmt: skip


def draw(tickets: pd.DataFrame, evaluations: pd.DataFrame) -> "plot.Figure":
    """Test accuracy against percent of weights, a line for each criterion."""
    pairs = zip(tickets["criterion"], tickets["structure"], strict=True)
    title = "LeNet-300-100 on MNIST, pruned and not trained again (Sun et al. 2024)"
    return plot.during(tickets.assign(how=[NAMES[pair] for pair in pairs]), evaluations, [1.0], title, by=["how"])
