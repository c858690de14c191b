"""Frankle & Carbin 2019, Appendix G: other learning rates, optimizers, initializations and layer sizes, LeNet-300-100.

Command
    lth figure frankle2019_hyperparameters --run data.root=DIR                    the paper's settings
    lth figure frankle2019_hyperparameters --run scale=reduced data.root=DIR      feasible on two cores
    lth run -m experiment=frankle2019_hyperparameters optimizer.lr=8e-4,1.6e-3 data.root=DIR      more rates, drawn too
Expect (the paper)
    On pruned nets, SGD without momentum at rates of 0.4 and 0.8 is as good as Adam at 0.0012, the setting of the
    paper's main part (G.3.1). Gaussian weights of deviation 0.1 are about as good as Gaussian Glorot's, and better than
    others (G.5). Larger nets have better tickets of as many weights, and hardly faster ones; all return to the dense
    net's accuracy at between about 9,000 and 15,000 weights (G.6). Of Adam 0.0002 to 0.002 are about as accurate (G.2),
    of momentum 0.025 to 0.1 last longest (G.3.2). Its other results are in plots whose values are not at hand: the
    hyperparameters here are ours, around those of the main part.
    Two arms have the main part's settings with other inputs: of 0 to 1, as SGD at 0.8 has (frankle2019_unit has more of
    them), and of length 1, as in the code that the first author released later.
Cost
    Full, a replicate: 25 configurations of 19 trainings of 50,000 steps; in one store those of Adam at 0.0012 are
    shared with frankle2019_fig3, of SGD at 0.4 with frankle2019_appendix (the tables here are of several machines); of
    (300, 100) hidden units 11 to 39 minutes each on one busy core of an AMD EPYC, of (25, 9) 2, of (500, 167) 22 and of
    (900, 300) 46.
    Reduced: 175 trainings of 5,000 steps.
Result (2026-12-01, in full; n = 1, but Adam at 0.0012 with inputs of 0 to 1 n = 5, with standardized ones and those of
    length 1, SGD at 0.8 and up to (100, 34) hidden units n = 3, mean and standard deviation; AMD EPYC, one thread;
    results/frankle2019_hyperparameters.md)
    With inputs of length 1 the dense net stops at step 6,767 (351) with 98.00 (0.07)%, tickets of 21.1% at step 5,567
    (850) with 98.15 (0.12)%: 18% (12) earlier, and at 13.5% 0.10 (0.15) points better, back to the dense net at 8.7%.
    The paper has 38%, 0.3 points and 3.6%, as inputs of 0 to 1 do, within a factor of 1.3 (frankle2019_unit).
    At 100, 21.1 and 3.6% of the weights, standardized, Adam has 97.64 (0.13), 98.21 (0.09) and 98.20 (0.04)% at early
    stop, SGD at rate 0.8 97.50 (0.45), 98.13 (0.17) and 98.05 (0.09)%, at rate 0.4 97.57, 98.29 and 97.78%: pruned nets
    at 0.8 are within half a point of Adam's, as in the paper; frankle2019_appendix has five replicates at 0.4. At 0.8
    the loss was NaN after 15 steps with standardized inputs, so this arm scales its inputs to [0, 1].
    At 3.6%, Adam at 0.0003 to 0.0012 has 98.2%, at 0.0024 97.9 and at 0.0048 97.4%; at 0.0003 early stop is at step
    14,900 at 1.85%, at 0.0012 at 4,600. SGD at 0.05 to 0.4 has 97.8 to 98.2%, with momentum 98.1% at 0.01 and 0.03 and
    97.6% at 0.1. The best of 18 pruned nets is above the dense one in every arm, by 0.1 to 0.8 points and with momentum
    at 0.1 by 1.5; of single trainings, such a maximum is partly chance. With momentum at 0.1 nets of 100 to 41% of the
    weights guess at the last step (11.4 or 11.5%), where the paper's rates of 0.025 to 0.1 last longest; with inputs of
    0 to 1 they do not (97.1 to 98.4%; lth run experiment=frankle2019_hyperparameters/momentum_01 data.scaling=unit
    name=tried levels=7 data.root=DIR): one more sign of the paper's scaling (frankle2019_unit).
    Gaussian He and deviations of 0.03 and 0.1 are within 0.3 points of Gaussian Glorot at 21.1 and 3.6%; a deviation of
    0.3 is 1.6 points below. At 3.6% (25, 9) hidden units have 68.6 (5.7)%, (50, 17) 92.9 (0.4), (100, 34) 96.9 (0.2),
    (200, 67) 97.8, (300, 100) 98.2, (500, 167) 98.4 and (900, 300) 98.6%. At 21.1%, beside the dense net, (100, 34) are
    0.40 (0.16) points better, (50, 17) 0.00 (0.52), (25, 9) 0.49 (0.64) worse, and larger ones no worse.
    At about 17,500 weights (900, 300) are 0.28 points above (300, 100), these 0.47 (0.02) above (100, 34), these 0.53
    (0.22) above (50, 17), which is not settled; their early stops are 1.15, 0.99 (0.08) and 2.10 (0.36) times earlier:
    larger nets have better tickets, as in the paper, which are hardly faster, but for the small (50, 17). On the
    validation set tickets are as good as the dense net down to 12,800 weights of (25, 9), 10,600 of (50, 17), 7,100 of
    (100, 34), 4,900 of (200, 67), 6,100 of (300, 100), 17,100 of (500, 167) and 18,000 or fewer of (900, 300): not the
    same for all sizes, and but for (200, 67) within a factor of 2 of 11,600, the middle of the paper's 9,000 to 15,000.
"""

from functools import partial
from typing import Any

import pandas as pd

from lth import UserError
from lth.analysis import full, plot
from lth.analysis.claim import STEP, Claim, between, lowest
from lth.analysis.plot.labels import in_order

COST = "a replicate: 25 times 19 trainings of 50,000 steps; scale=reduced: 25 times 7 of 5,000"
_LENET = full.frankle2019("lenet_300_100", **full.EVERY_LEVEL)
FULL = {**_LENET, "mlp": _LENET["lenet_300_100"]}
RATE = 0.0012
VALIDATION = "early_stop_val_accuracy"  # of the figures of this appendix
ADAM = {"optimizer": "Adam", "optimizer.lr": RATE}
MAIN = {**ADAM, "init": "glorot_normal", "scaling": "standardize", "model": "lenet_300_100"}
UNIT = {**MAIN, "scaling": "unit"}
FASTEST = {"optimizer": "SGD", "optimizer.lr": 0.8, "optimizer.momentum": 0.0}
TENTH = {**ADAM, "init": "gaussian", "init.std": 0.1}
# Hidden units, and the weights of the net. Tickets return to the dense net's accuracy at between about 9,000 and 15,000
# weights, of which this is the geometric middle.
WEIGHTS = {"[25, 9]": 19_915, "[50, 17]": 40_220, "[100, 34]": 82_140, "[200, 67]": 170_870, "[300, 100]": 266_200,
           "[500, 167]": 477_170, "[900, 300]": 978_600}  # fmt: skip
MIDDLE = 11_600
AT = 17_500  # weights, at which nets of different sizes are compared


def _net(hidden: str) -> dict[str, Any]:
    """The rows of a net with these hidden units."""
    return MAIN if hidden == "[300, 100]" else {**MAIN, "model": "mlp", "model.hidden": hidden}


CLAIMS = [  # the rate of 0.4 has its claims in frankle2019_appendix
    *(
        Claim(f"{percent}%: {name}", 0.0, "points",
              partial(between, percent=percent, ours=ours, theirs=theirs, column=VALIDATION),
              {"model": "lenet_300_100"}, kind="value")
        for name, ours, theirs in (("SGD at rate 0.8 beside Adam, on inputs of 0 to 1", FASTEST, UNIT),
                                   ("Gaussian weights of deviation 0.1 beside Gaussian Glorot", TENTH, MAIN))
        for percent in (21.1, 3.6)
    ),
    *(
        Claim(f"G.5, {percent}%: deviation of 0.1 above 0.3", 0.0, "points",
              partial(between, percent=percent, ours=TENTH, theirs={**TENTH, "init.std": 0.3}, column=VALIDATION),
              {"model": "lenet_300_100"})
        for percent in (21.1, 3.6)
    ),
    *(
        Claim(f"G.6, {hidden}: accuracy back to dense at", round(100 * MIDDLE / weights, 2), "% of weights",
              partial(lowest, column=VALIDATION), _net(hidden), kind="point")
        for hidden, weights in WEIGHTS.items()
    ),
    *(
        Claim(f"G.6, {AT:,} weights: {what}", paper, unit,
              partial(between, percent=100 * AT / WEIGHTS[larger], their_percent=100 * AT / WEIGHTS[smaller],
                      ours=_net(larger), theirs=_net(smaller), column=column), kind=kind)
        for larger, smaller in (("[900, 300]", "[300, 100]"), ("[300, 100]", "[100, 34]"), ("[100, 34]", "[50, 17]"))
        for what, paper, unit, column, kind in (
            (f"{larger} above {smaller}", 0.0, "points", VALIDATION, "effect"),
            (f"early stop of {larger} beside that of {smaller}", 1.0, "times", STEP, "point"),
        )
    ),
]  # fmt: skip
INPUTS = {"standardize": "", "unit": ", inputs of 0 to 1", "l2": ", inputs of length 1"}
INITS = {"glorot_normal": "Gaussian Glorot", "kaiming_normal": "Gaussian He"}


def panels(tickets: pd.DataFrame) -> dict[str, pd.Series]:
    """Names of the lines of the rows, by what is varied; missing in the rows that vary something else."""
    table = tickets.reindex(
        columns=[*tickets.columns, *({"optimizer.momentum", "model.hidden", "init.std"} - {*tickets})]
    )
    rate = table["optimizer.lr"].map("rate {:g}".format)
    rate += table["scaling"].map(INPUTS)
    deviation = table["init.std"].map("deviation {:g}".format, na_action="ignore")
    init = table["init"].map(lambda name: INITS.get(name, name)).where(deviation.isna(), deviation)
    hidden = table["model.hidden"].fillna("[300, 100]")
    adam, sgd = table["optimizer"] == "Adam", table["optimizer"] == "SGD"
    plain = table["optimizer.momentum"].fillna(0) == 0
    main, glorot, lenet = table["optimizer.lr"] == RATE, table["init"] == "glorot_normal", hidden == "[300, 100]"
    main &= table["scaling"] == "standardize"
    return {
        "Adam": rate.where(adam & glorot & lenet),
        "SGD": rate.where(sgd & plain & glorot & lenet),
        "SGD with momentum": rate.where(sgd & ~plain & glorot & lenet),
        "hidden layers": hidden.where(adam & main & glorot),
        "initialization": init.where(adam & main & lenet),
    }


def draw(tickets: pd.DataFrame, evaluations: pd.DataFrame) -> "plot.Figure":
    """Accuracy at early stop and early-stop step against percent of weights remaining; a row of panels for each thing
    that is varied. Rows that vary several are in none.
    """
    lines = {varied: line for varied, line in panels(tickets).items() if line.notna().any()}
    if not lines:
        raise UserError("what is stored varies several things at once: vary one of optimizer.lr, optimizer, init and "
                        "model.hidden")  # fmt: skip
    ordered = {varied: pd.Categorical(line, in_order(line.dropna())) for varied, line in lines.items()}
    parts = [
        tickets.assign(varied=varied, how=how).dropna(subset="how").sort_values("how")
        for varied, how in ordered.items()
    ]
    title = "LeNet-300-100 on MNIST (Frankle & Carbin 2019, Appendix G)"
    return plot.sparsity(pd.concat(parts, ignore_index=True), title, by=["how"], rows="varied")
