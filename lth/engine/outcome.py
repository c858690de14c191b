"""The trained ticket that a training ends with: its curve, its mask, its weights, and the facts of its result."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd
import torch

from lth.connectivity import sign_flips
from lth.engine.masking import Masking
from lth.engine.usage import Usage, ledger
from lth.recipe import Recipe
from lth.ticket import Ticket, Trained, Weights


def outcome(
    ticket: Ticket,
    recipe: Recipe,
    until: int,
    at: Callable[[int], Weights],
    *,
    curve: Sequence[Sequence[float]],
    kept: Mapping[int, Weights],
    masking: Masking,
    usage: Usage,
    device: torch.device,
    kernel: str,
    metric: float | None,
) -> Trained:
    """The trained ticket. at: step -> weights. curve: rows of the learning curve. kept: weights of steps in memory.
    kernel: of its steps. metric: of the training set at the last step of the recipe, None before it.
    """
    scored = 0 if metric is None else len(recipe.data.train)
    masking.count(until, scored)
    samples = (until - ticket.step) * recipe.batch_size
    evaluated = scored + len(curve) * (len(recipe.data.validation) + len(recipe.data.test))
    mask = {name: m.cpu() for name, m in masking.mask.items()} if recipe.moves_mask else ticket.mask
    facts: dict[str, Any] = {
        **ledger(usage, masking, device=device, samples=samples, evaluated=evaluated),
        "kernel": kernel,
        "kept": sorted(kept),
        "sign_flips": sign_flips(at(ticket.step), at(until), mask),
        f"final_train_{recipe.task.metric}": metric,
    }
    evaluations = pd.DataFrame(curve, columns=list(recipe.task.columns)).astype({"step": "int64"})
    return Trained(ticket, evaluations, at, until, mask, facts)
