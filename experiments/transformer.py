"""Has a transformer winning tickets? A small decoder on a small text, beside random re-initialization.

No figure of a paper: Frankle & Carbin 2019 prune fully connected and convolutional nets. The net has two blocks of
width 64 with four heads, 100,800 weights in linear layers, rewound to step 0; the text is the names of Unicode's
characters (data=text), split by position, of which the next of 39 characters is predicted.

Command
    lth figure transformer --run
    lth figure transformer --run scale=reduced      a tenth of the steps
Expect
    As for other nets in Frankle & Carbin 2019: with a fifth of the weights and less, tickets predict at least as well
    as the dense net, and better than the same masks on a fresh initialization.
Cost
    A replicate: 11 trainings of 6,000 steps, four minutes of one core each (reduced: 600 steps, half a minute).
Result
    Not run yet.
"""

import pandas as pd

from lth.analysis import plot

COST = "a replicate: 11 trainings of 6,000 steps"


def draw(tickets: pd.DataFrame, evaluations: pd.DataFrame) -> "plot.Figure":
    """Accuracy of the next character at early stop, and the early-stop step, over sparsity."""
    return plot.sparsity(tickets, "A transformer on the names of Unicode's characters")
