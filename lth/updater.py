"""(step, weights, gradients, mask) -> mask: masks that change while a net is trained.

The engine calls the updater of a recipe after every optimizer step, with the number of that step (1 is the first), the
weights W_step, the gradients that made them, and the mask so far, which it must not change in place; what the mask that
it returns leaves out is 0 from then on. weights, gradients: of the prunable layers, on the device. The mask at the end,
m_T, is `Trained.mask`.
"""

from collections.abc import Mapping

from torch import Tensor

from lth import UserError
from lth.schedule import cubic_share
from lth.ticket import Mask, highest

Tensors = Mapping[str, Tensor]


def none(step: int, weights: Tensors, gradients: Tensors, mask: Mask) -> Mask:
    """The mask of the ticket stays."""
    return mask


def gradual(
    step: int,
    weights: Tensors,
    gradients: Tensors,
    mask: Mask,
    *,
    density: float = 0.05,
    begin: int = 0,
    end: int = 500,
    every: int = 100,
) -> Mask:
    """Prune every layer by magnitude to density + (1 - density)(1 - (t - begin) / (end - begin))^3 of its weights, at
    the steps t = begin, begin + every, ..., end (Zhu & Gupta 2017, Equation 1, from no sparsity). A layer that is
    sparser already stays as it is.
    """
    if not 0 < density <= 1 or not 0 <= begin < end or every < 1 or (end - begin) % every:
        raise UserError(
            f"updater.density={density}, begin={begin}, end={end}, every={every}: give a density above 0 and at most "
            "1, 0 <= begin < end, and a multiple of `every` steps between them"
        )
    if not begin <= step <= end or (step - begin) % every:
        return mask
    share = cubic_share((step - begin) / (end - begin), density)
    return {name: highest(name, weights[name].abs(), m, _kept(m, share)) for name, m in mask.items()}


def _kept(mask: Tensor, share: float) -> int:
    return min(int(mask.sum()), max(1, round(share * mask.numel())))
