"""The part of a training batch that one of several processes has, and the gradients of all parts."""

from typing import TYPE_CHECKING

from torch import Tensor

from lth import augment
from lth.augment import PARTS
from lth.keywords import arguments

if TYPE_CHECKING:
    from lth.engine.loop import Loop


def part_of(loop: "Loop", batch: Tensor) -> tuple[Tensor, Tensor]:
    """Inputs and targets of a part of the batch with these rows, augmented as they are in the whole batch.

    An augmentation that is random and can't be drawn apart from the images gets the whole batch.
    """
    inputs, targets = loop.splits["train"]
    part = loop.ranks.part(len(batch))
    function, settings = arguments(loop.recipe.augment)
    own = targets.index_select(0, batch[part])
    if loop.read_augmented or function is augment.none:
        return inputs.index_select(0, batch[part]), own
    if function in PARTS:
        draw, apply = PARTS[function]
        drawn = draw(len(batch), replicate=loop.ticket.noise, step=loop.step, **settings)
        return apply(inputs.index_select(0, batch[part]), drawn[:, part], **settings), own
    return loop.augmented(inputs.index_select(0, batch), loop.step)[part], own


def backward(loop: "Loop", total: Tensor, loss: Tensor) -> Tensor:
    """Set the gradients of the whole batch, and return its loss. total: the loss of this part, with the penalty."""
    (total * loop.share).backward()
    loss = loop.ranks.sum_gradients(loop.net.parameters(), loss * loop.share)
    loop.ranks.as_first(loop.net.buffers())
    return loss
