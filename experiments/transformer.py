"""Does a transformer have winning tickets? A small decoder on a small text, beside random re-initialization.

No figure of a paper: Frankle & Carbin 2019 prune fully connected and convolutional nets. The net has two blocks of
width 64 with four heads, 100,800 weights in linear layers, rewound to step 0; the text is the names of Unicode's
characters (data=text), split by position; the task is to predict the next of 39 characters.

Command
    lth figure transformer --run
    lth figure transformer --run scale=reduced      a tenth of the steps
Expect
    As for other nets in Frankle & Carbin 2019: with a fifth of the weights and less, tickets predict at least as well
    as the dense net, and better than the same masks on a fresh initialization.
Cost
    A replicate: 11 trainings of 6,000 steps, four minutes of one core each (reduced: 600 steps, 23 s).
Result (2026-11-26, REDUCED: 600 steps instead of 6,000, n = 3, mean (deviation); AMD EPYC, one thread, commit
    01fac3210fff; results/transformer.md)
    All of this is at a tenth of the steps. The dense net predicts 67.69 (1.07)% of the characters, tickets with 37% of
    the weights 69.66 (0.70)%, more in each replicate: +1.98 (0.38) points; with 22% still +0.74 (0.51), with 14% -2.22
    (0.61), with 8% -6.73 (0.25). Re-initialized, the same masks are 5.1 (1.1) points below the tickets at 61% of the
    weights, 10.2 (0.5) at 37%, 14.5 (0.3) at 22% and 19.0 (1.9) at 8%. All still learn at step 600, where each has its
    least validation loss: nothing is said about the early-stop step, nor about longer trainings.
"""

import pandas as pd

from lth.analysis import plot

FULL = {"transformer": {"data": "text", "steps": 6_000, "batch_size": 32}}
COST = "a replicate: 11 trainings of 6,000 steps"


def draw(tickets: pd.DataFrame, evaluations: pd.DataFrame) -> "plot.Figure":
    """Accuracy of the next character at early stop over sparsity."""
    return plot.sparsity(tickets, "A transformer on the names of Unicode's characters", columns=("",))
