"""The opposite of a criterion, as a sanity check (Frankle et al. 2021, "Pruning neural networks at initialization")."""

from collections.abc import Callable

from torch import Tensor, nn

from lth.data import Examples
from lth.keywords import supplied
from lth.task import CLASSIFICATION, Task
from lth.ticket import Trained


def inverted(
    net: nn.Module,
    trained: Trained,
    batch: Examples,
    *,
    of: Callable[..., dict[str, Tensor]],
    task: Task = CLASSIFICATION,
) -> dict[str, Tensor]:
    """The negative scores of another criterion: what is most important to it goes. of: such as lth.criterion.snip."""
    return {name: -scores for name, scores in of(net, trained, batch, **supplied(of, task=task)).items()}
