"""Sun et al. 2024: Wanda, pruning by weights and activations, without training afterwards. LeNet-300-100 on MNIST.

A Simple and Effective Pruning Approach for Large Language Models (arXiv 2306.11695). A score is |w| times the norm of
the weight's input over a batch, here the first training batch of 60 images, and is compared with those of the same
output. The paper prunes language models, one block after the other, with the inputs that the pruned blocks before it
give; here its criterion prunes a small net, all layers at once, with the inputs of the net before pruning.

Command
    lth figure sun2024_wanda --run data.root=DIR                    dense nets trained as in Frankle & Carbin 2019
    lth figure sun2024_wanda --run scale=reduced data.root=DIR      a tenth of the steps, fewer levels
Expect (the authors' table of LLaMA-2 7B, half of the weights, perplexity on WikiText-2 at a context of 4,096)
    Dense 5.12, Wanda 6.42, magnitude pruning 14.89: Wanda loses far less. None of these numbers is for a net like ours.
Cost
    A replicate: one training of 50,000 steps, two minutes on an idle core, and 72 evaluations.
Result (2026-11-29, REDUCED: a small net, not a language model; n = 3, mean and standard deviation; AMD EPYC, one
    thread; results/sun2024_wanda.md)
    At 64 and 41% of the weights Wanda is below magnitude within a layer, by 0.20 (0.04) and 1.62 (0.54) points; at 51,
    33 and 26% three replicates do not settle it (51.2%: Wanda 96.94 (0.46)%, magnitude 97.37 (0.18) within a layer and
    97.29 (0.18) within an output). From 21% down Wanda loses less: at 21% it has 86.59 (0.83)%, magnitude within a
    layer 77.47 (3.49), 9.1 (2.7) points less, and within an output 73.27 (6.99); at 10.7% Wanda 61.05 (2.41)%,
    magnitude 35.63 (8.81), 25.4 (6.4) points less, and 37.76 (5.33). It is the norms of the inputs that help: within a
    layer, Wanda's score has 87.45 (0.55) and 64.24 (3.93)%.
"""

from functools import partial

import pandas as pd

from lth.analysis import plot
from lth.analysis.claim import FINAL, Claim, between

SOURCE = "authors"
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
    for percent in (51.2, 21.0, 10.7)
]  # fmt: skip


def draw(tickets: pd.DataFrame, evaluations: pd.DataFrame) -> "plot.Figure":
    """Test accuracy against percent of weights, a line for each criterion."""
    pairs = zip(tickets["criterion"], tickets["structure"], strict=True)
    title = "LeNet-300-100 on MNIST, pruned and not trained again (Sun et al. 2024)"
    return plot.during(tickets.assign(how=[NAMES[pair] for pair in pairs]), evaluations, [1.0], title, by=["how"])
