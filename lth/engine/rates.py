"""Learning rate of a stack's optimizer, and the optimizer's fitness for stacks and for CUDA graphs."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

# Optimizers that update every weight by its own gradient and state alone, so that stacked weights move as single ones.
ELEMENTWISE = {
    getattr(torch.optim, name)
    for name in ("SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adadelta", "Adamax", "NAdam", "RAdam", "ASGD", "Rprop")
}
# State of theirs that counts steps, the same for all weights.
SHARED = {"step", "mu_product", "eta", "mu"}
FUSED = {torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW}


def elementwise(optimizer: torch.optim.Optimizer) -> bool:
    """True if the optimizer may train stacked weights; a subclass may do anything, so it may not."""
    return type(optimizer) in ELEMENTWISE


def grouping(optimizer: torch.optim.Optimizer, net: nn.Module) -> list[object]:
    """Settings of each group of an optimizer, and the numbers of its parameters in the order of the net."""
    number = {id(parameter): at for at, parameter in enumerate(net.parameters())}
    return [
        ([number.get(id(p), -1) for p in group["params"]], {k: v for k, v in group.items() if k != "params"})
        for group in optimizer.param_groups
    ]


def make_capturable(optimizer: torch.optim.Optimizer) -> bool:
    """Make an optimizer on a CUDA device fit for graphs, by its own options; False if it has none."""
    for group in optimizer.param_groups:
        if group.get("differentiable") or not (type(optimizer) in FUSED or "capturable" in group):
            return False
        if type(optimizer) in FUSED:  # one kernel, which reads the rate from the device
            group.update(fused=True, foreach=False)
        if "capturable" in group:
            group["capturable"] = True
    return True


class Rates:
    """Rates of the parameter groups by a schedule of factors. on_device: as tensors that `select` fills, without a
    transfer, from a table of up to `size` steps; otherwise as numbers that `set` writes.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, schedule: Callable[[int], float]) -> None:
        self.optimizer, self.schedule, self.on_device = optimizer, schedule, False
        self.base = [float(group["lr"]) for group in optimizer.param_groups]

    def put_on(self, device: torch.device, size: int) -> None:
        """Keep the rates on the device from now on."""
        self.on_device, self.values = True, torch.zeros(len(self.base), device=device)
        self.table = torch.zeros(size, len(self.base), device=device)
        self.bind()

    def bind(self) -> None:
        """Give the optimizer the tensors of the rates, also after it has loaded a state, which copies them."""
        if self.on_device:
            for group, value in zip(self.optimizer.param_groups, self.values, strict=True):
                group["lr"] = value

    def load(self, start: int, stop: int) -> None:
        """Fill the table for the steps from `start` to `stop` - 1."""
        if self.on_device:
            rates = [[base * self.schedule(step) for base in self.base] for step in range(start, stop)]
            self.table[: stop - start].copy_(pinned(torch.tensor(rates)), non_blocking=True)

    def select(self, at: Tensor) -> None:
        """Take the row `at` (int64, 1) of the table."""
        if self.on_device:
            self.values.copy_(self.table.index_select(0, at)[0])

    def set(self, step: int) -> None:
        """Take the rates of a step, if they are numbers."""
        if not self.on_device:
            factor = self.schedule(step)
            for group, base in zip(self.optimizer.param_groups, self.base, strict=True):
                group["lr"] = base * factor


def pinned(tensor: Tensor) -> Tensor:
    """The tensor in page-locked memory, from which a copy to a CUDA device doesn't wait for what runs there."""
    return tensor.pin_memory() if torch.cuda.is_available() else tensor
