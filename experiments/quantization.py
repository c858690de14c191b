"""Accuracy and size against bits a weight: post-training and quantization-aware, dense nets and tickets.

The figure that a textbook chapter on compression draws of quantization; integers as in Jacob et al. 2018 (arXiv
1712.05877), r = S(q - Z), inputs of layers affine with 8 bits, weights symmetric for each output channel as in
Krishnamoorthi 2018 (arXiv 1806.08342). Ranges are those of least mean squared error, theirs minima and maxima.

Command
    lth figure quantization --run data.root=DIR                    LeNet-300-100 in full
    lth figure quantization --run scale=reduced data.root=DIR      Conv-2 and ResNet-20, feasible on two cores
    lth compress experiment=quantization,quantization/conv_2,quantization/resnet_20 scale=full,reduced data.root=DIR \
replicate=1,2,3 --levels 0,7,11,15,16
Expect
    8 bits lose next to nothing against float32 (the chapter: "very low performance drops", 75% less memory); fewer lose
    more, and quantization-aware training recovers most of it (Krishnamoorthi 2018, Table 5: ResNet-50 with 4 bits, 54
    and 73.2%, in float32 75.2%). Tickets, each of whose weights carries more, are as easy to quantize as dense nets
    (Han et al. 2016 prune LeNet-300-100 and then share 6-bit weights at no loss). As files: int8 takes a quarter of the
    bytes and, in the chapter's words, gives "3x acceleration"; LeNet-300-100 pruned, quantized and entropy-coded is 40
    times smaller (Han et al. 2016, "Deep Compression", Table 1).
Cost
    Full, LeNet-300-100: 9 trainings of 50,000 steps and 12 quantization-aware ones of 2,000 a replicate. Reduced,
    Conv-2: 2 of 4,000; ResNet-20: 2 of 1,000; each with 4 of 200.
Result (2026-11-30, mean (deviation), at the end; Conv-2 and ResNet-20 REDUCED; results/quantization.md, _files.md)
    LeNet-300-100 in full, n = 4 (replicates 1, 2, 4 and 5): dense 98.04 (0.15)%; quantized after training to 8 bits
    98.03 (0.13)%, 4 97.92 (0.15)%, 3 97.13 (0.35)%, 2 90.68 (1.68)%; quantization-aware 98.30 (0.05), 98.26 (0.09),
    98.17 (0.10) and 97.39 (0.16)%. As 8 bits cost nothing, these 0.3 points are due to the 2,000 further steps at a
    tenth of the rate. The ticket of 3.6% of the weights has 98.20 (0.08)%; quantized after training 98.19 (0.09), 98.19
    (0.09), 98.02 (0.08) and 96.07 (0.46)%, quantization-aware 98.20 (0.10), 98.20 (0.08), 98.12 (0.08) and 97.48
    (0.13)%: fewer bits cost the ticket less than the dense net. Conv-2, n = 1: 68.89%, 8 bits 68.94%, 3 bits 65.58%,
    quantization-aware 70.26%; its ticket of 8.8% 69.32, 69.25, 64.59 and 68.97%. ResNet-20, n = 1: 69.33%, 8 bits
    69.35%, 3 bits 48.38%, quantization-aware 68.65%; its ticket of 21.9% 75.82, 75.81, 64.52 and 75.39%.
    Files are those of earlier trainings that are in no table any more: of LeNet-300-100 of three by version 0.1, of
    ResNet-20 of one in bfloat16. LeNet-300-100: int8 is 74.0% smaller than float32, at -0.02 (0.01) points, and 4.8
    (0.2) times faster at batch 128. The smallest file without loss, within its interval too, has 4 bits for each weight
    of the ticket of 8.7%: 42.9 (0.2) times smaller at +0.32 (0.12) points (Han et al.: 40 times). 4 bits of the ticket
    of 2.9% are 102.5 (0.3) times smaller at +0.08 (0.09) points, which is not settled. These gains are those of
    pruning: of the dense net 5 bits are 8.0 times smaller, at +0.02 points. Without idle inputs and neurons, the ticket
    of 3.6% runs at 0.7 times the speed of the dense net in ONNX Runtime, and in int8 at 1.1 times (4.8 with its zeros),
    because of a gather in front and odd widths. int8 is 2.8 times faster for Conv-2 and 2.0 times for ResNet-20.
"""

from collections.abc import Mapping
from functools import partial

import pandas as pd

from lth.analysis import full, plot
from lth.analysis.claim import FINAL, Claim, between, file_value, smallest_file

COST = (
    "LeNet-300-100, a replicate: 9 trainings of 50,000 steps and 12 of 2,000; scale=reduced: Conv-2 and ResNet-20 too"
)
FULL = full.frankle2019("lenet_300_100", "conv_2", "resnet_20")
Side = Mapping[str, object]
TICKETS = {"lenet_300_100": 3.6, "conv_2": 8.8, "resnet_20": 21.9}


def _claims(model: str, percent: float) -> list[Claim]:
    net, name = {"model": model}, plot.NAMES[model]

    def against(text: str, share: float, ours: Side, theirs: Side, kind: str = "value", other: str = "") -> Claim:
        measure = partial(between, percent=share, ours={**net, **ours}, theirs={**net, **theirs}, column=FINAL)
        return Claim(f"{name}, {text}", 0.0, "points", measure, net, kind, net=other)

    rounded, float32 = {"branch": "post_training", "bits": 8}, {"branch": "ticket"}
    aware_4, rounded_4 = {"branch": "aware", "bits": 4}, {"branch": "post_training", "bits": 4}
    return [
        against("dense: 8 bits against float32", 100, rounded, float32),
        against(f"{percent:g}%: 8 bits against float32", percent, rounded, float32),
        against("dense: 4 bits, trained above rounded", 100, aware_4, rounded_4, "effect", "ResNet-50"),
    ]


def _files(model: str) -> list[Claim]:
    net, name = {"model": model}, plot.NAMES[model]
    int8 = partial(file_value, name="int8")
    return [
        Claim(f"{name}, int8 file: smaller than float32", 4.0, "times", partial(int8, column="smaller"), net),
        Claim(f"{name}, int8 file: accuracy against float32", 0.0, "points", partial(int8, column="points"), net,
              kind="value"),
        Claim(f"{name}, int8 file: faster at batch 128", 3.0, "times", partial(int8, column="faster"), net),
    ]  # fmt: skip


CLAIMS = [claim for model, percent in TICKETS.items() for claim in _claims(model, percent)]

FILES = [
    *(claim for model in TICKETS for claim in _files(model)),
    Claim("LeNet-300-100, smallest file at no loss (Han et al. 2016)", 40.0, "times smaller", smallest_file,
          {"model": "lenet_300_100"}),
]  # fmt: skip


def draw(tickets: pd.DataFrame, evaluations: pd.DataFrame) -> "plot.Figure":
    """Accuracy and bytes against bits a weight, a column for each net."""
    return plot.bits(tickets, "Bits a weight: accuracy and size, after training and trained with the rounding")
