"""The mask of a net in training: pruned weights are held at 0, an updater may move it, what is computed is counted."""

from collections.abc import Callable, Container, Mapping

import torch
from torch import Tensor, nn

from lth.layer import Cost, trace
from lth.recipe import Recipe
from lth.ticket import Mask, Ticket

# Counts are saved as two digits of this base: an int64 does not hold 2e19, as of ViT-B on ImageNet.
BASE = 2**62


def cost_of(net: nn.Module, recipe: Recipe) -> Cost:
    """Multiply-accumulates of an example in a net, the same for all weights that it may have."""
    return trace(net, recipe.data.example().to(next(net.parameters()).device)).cost


class Masking:
    """The mask of a net in training.

    mask: m so far, on the device.
    updater: None if the mask stays.
    cost: of an example.
    macs: multiply-accumulates of kept weights.
    packed: names of weights that hold kept values only, so that nothing is to be held at 0.
    reset: called with a name and the places in that layer where weights grow, for the state that the optimizer has of
        them.
    """

    def __init__(
        self,
        net: nn.Module,
        ticket: Ticket,
        recipe: Recipe,
        device: torch.device,
        cost: Cost,
        packed: Container[str] = (),
        reset: Callable[[str, Tensor], None] | None = None,
    ) -> None:
        self.recipe, self.device, self.packed, self.reset = recipe, device, packed, reset
        self.updater = recipe.updater if recipe.moves_mask else None
        self.replaces = recipe.replaces_steps
        known = {"replicate": ticket.noise, "net": net}
        self.supplied = {name: value for name, value in known.items() if recipe.supplies(name)}
        self.weights: dict[str, Tensor] = {name: net.get_parameter(name) for name in ticket.mask}
        self.cost, self.macs, self.counted = cost, 0, ticket.step
        self._set(ticket.mask)

    def update(self, step: int, *, stepped: bool = True) -> bool:
        """Let the updater move the mask after step number `step`, or before the optimizer takes it (stepped=False), and
        return True if it does; steps so far are counted with the mask they had.
        """
        assert self.updater is not None
        gradients = {name: weight.grad for name, weight in self.weights.items()}
        supplied = {**self.supplied, "stepped": stepped} if self.replaces else self.supplied
        with torch.no_grad():
            mask = self.updater(step, self.weights, gradients, self.mask, **supplied)
            if mask is self.mask:
                return False
            self.count(step)
            if not stepped:
                self._count_dense_gradient()
            before = self.mask
            self._set(mask)
            self._begin_anew(before)
            if self.factors:
                torch._foreach_mul_(self.pruned, self.factors)
        return True

    def count(self, step: int, evaluated: int = 0) -> None:
        """Add the multiply-accumulates of kept weights up to `step`, and of `evaluated` images.

        A sample takes three forward passes, since the backward pass takes two (Amodei & Hernandez 2018).
        """
        samples, self.counted = (step - self.counted) * self.recipe.batch_size, step
        self.macs += (3 * samples + evaluated) * self.cost.macs(self.kept)

    def _count_dense_gradient(self) -> None:
        """Add what the gradients of pruned weights take in a step in which they are looked at: its three passes cost
        2 f_S + f_D and not 3 f_S (Evci et al. 2020, Appendix H).
        """
        sizes = {name: m.numel() for name, m in self.mask.items()}
        self.macs += self.recipe.batch_size * (self.cost.macs(sizes) - self.cost.macs(self.kept))

    def _begin_anew(self, before: Mask) -> None:
        """Reset what the optimizer remembers of weights that the mask has and `before` had not."""
        for name, mask in self.mask.items() if self.reset else ():
            if (grown := mask & ~before[name]).any():
                self.reset(name, grown)  # type: ignore[misc]

    def state(self) -> dict[str, Tensor]:
        """The counts and, if it moves, the mask, as flat tensors."""
        masks = {f"mask/{name}": mask.cpu() for name, mask in (self.mask.items() if self.updater else ())}
        return {"macs": torch.tensor([self.macs % BASE, self.counted, self.macs // BASE]), **masks}

    def load(self, counts: Tensor, mask: Mask) -> None:
        """Resume from a state; an empty mask stands for that of the ticket."""
        macs, self.counted, *high = counts.tolist()  # older states have no high digit
        self.macs = macs + BASE * sum(high)
        if mask:
            self._set(mask)

    def _set(self, mask: Mask) -> None:
        self.mask: Mapping[str, Tensor] = {name: m.to(self.device, copy=True) for name, m in mask.items()}
        self.kept = {name: int(m.sum()) for name, m in self.mask.items()}
        pruned = {name: m for name, m in self.mask.items() if name not in self.packed and not m.all()}
        self.pruned = [self.weights[name] for name in pruned]
        self.factors = [m.to(torch.float32) for m in pruned.values()]
