"""State of an optimizer for weights that an updater brings back: that of a new one, but for the number of its steps."""

import torch
from torch import Tensor

from lth import UserError
from lth.engine.rates import elementwise

# State that does not start at 0, and the option of the optimizer that it starts at: of Adagrad and of Rprop.
STARTS = {"sum": "initial_accumulator_value", "step_size": "lr"}


def check(optimizer: torch.optim.Optimizer) -> None:
    """Raise UserError unless every weight has state of its own."""
    if not elementwise(optimizer):
        raise UserError(
            f"{type(optimizer).__name__} may keep state of several weights together, which can't be reset for one that "
            "an updater grows: use another optimizer, such as sgd or adam, or updater=none"
        )


def reset(optimizer: torch.optim.Optimizer, parameter: Tensor, grown: Tensor, number: int | None = None) -> None:
    """Reset the state of the weights of a parameter where `grown` is True. number: of the net in a stack."""
    check(optimizer)
    group = next(g for g in optimizer.param_groups if any(p is parameter for p in g["params"]))
    for name, slot in optimizer.state.get(parameter, {}).items():
        if isinstance(slot, Tensor) and slot.shape == parameter.shape:
            start = float(group[STARTS[name]]) if name in STARTS else 0.0
            (slot if number is None else slot[number]).masked_fill_(grown, start)
