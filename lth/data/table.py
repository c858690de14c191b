"""Tables with numbers to predict."""

import numpy as np

from lth import UserError
from lth.data.check import Scaling
from lth.data.dataset import Data, Split
from lth.data.files import in_package
from lth.seed import seed


def diabetes(*, validation: int = 66, test: int = 66, scaling: Scaling = "standardize") -> Data:
    """Progression of diabetes a year on, from age, sex, body mass index, blood pressure and six blood values of 442
    patients (Efron et al. 2004), from the scikit-learn package, without a network; for task=regression.

    `validation` and `test` patients are held out by a fixed seed. The target is standardized by the training patients,
    so that a squared error of 1 is that of predicting their mean; its unit is 77 points of the score.
    """
    folder = in_package("diabetes", "sklearn", "datasets", "data")
    inputs = np.loadtxt(folder / "diabetes_data_raw.csv.gz")
    targets = np.loadtxt(folder / "diabetes_target.csv.gz")
    if min(validation, test) < 1 or validation + test >= len(inputs):
        raise UserError(f"data.validation={validation}, data.test={test}: hold out at least 1 each, and fewer than "
                        f"{len(inputs)} together")  # fmt: skip
    order = np.random.default_rng(seed("held-out rows")).permutation(len(inputs))
    parts = np.split(order, [len(inputs) - validation - test, len(inputs) - test])
    train, held_out, last = map(np.sort, parts)
    whole = Split(inputs, (targets - targets[train].mean()) / targets[train].std())
    return Data("diabetes", whole.take(train), whole.take(held_out), whole.take(last), scaling)
