"""The opposite of a criterion, as a sanity check (Frankle et al. 2021, "Pruning neural networks at initialization")."""

import inspect
from collections.abc import Callable

from torch import Tensor, nn

from lth.criterion.batch import Batch
from lth.task import CLASSIFICATION, Task
from lth.ticket import Trained


def inverted(
    net: nn.Module,
    trained: Trained,
    batch: Batch,
    *,
    of: Callable[..., dict[str, Tensor]],
    task: Task = CLASSIFICATION,
) -> dict[str, Tensor]:
    """The negative scores of another criterion: what is most important to it goes. of: such as lth.criterion.snip."""
    supplied = {"task": task} if "task" in inspect.signature(of).parameters else {}
    return {name: -scores for name, scores in of(net, trained, batch, **supplied).items()}
