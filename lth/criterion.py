"""(net, trained, batch) -> scores, one per prunable weight; high stays.

A criterion sees both ends of training, W_k (the ticket's) and W_T, and a batch (images, labels) of training data. It
changes nothing: gradients are taken by `functional_call`. What is random is seeded by (replicate, level).
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call

from lth import neuron
from lth.neuron import Group
from lth.seed import generator, seed
from lth.ticket import Trained, masked

Batch = tuple[Tensor, Tensor]
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def magnitude(net: nn.Module, trained: Trained, batch: Batch) -> dict[str, Tensor]:
    """|W_T| (Han et al. 2015; Frankle & Carbin 2019; "large_final" in Zhou et al. 2019)."""
    weights = trained.weights
    return {name: weights[name].abs() for name in trained.ticket.mask}


def large_init(net: nn.Module, trained: Trained, batch: Batch) -> dict[str, Tensor]:
    """|W_k| (Zhou et al. 2019)."""
    return {name: trained.ticket.weights[name].abs() for name in trained.ticket.mask}


def magnitude_increase(net: nn.Module, trained: Trained, batch: Batch) -> dict[str, Tensor]:
    """|W_T| - |W_k| (Zhou et al. 2019)."""
    start, end = trained.ticket.weights, trained.weights
    return {name: end[name].abs() - start[name].abs() for name in trained.ticket.mask}


def movement(net: nn.Module, trained: Trained, batch: Batch) -> dict[str, Tensor]:
    """|W_T - W_k| (Zhou et al. 2019)."""
    start, end = trained.ticket.weights, trained.weights
    return {name: (end[name] - start[name]).abs() for name in trained.ticket.mask}


def random(net: nn.Module, trained: Trained, batch: Batch) -> dict[str, Tensor]:
    """Uniform on [0, 1): the control in which nothing is learned about which weights matter."""
    ticket = trained.ticket
    source = generator("criterion", ticket.replicate, ticket.level)
    return {name: torch.rand(m.shape, generator=source) for name, m in ticket.mask.items()}


def snip(net: nn.Module, trained: Trained, batch: Batch) -> dict[str, Tensor]:
    """|W dL/dW| at W_T (Lee et al. 2019, Eq. 6, unnormalized); the net in the mode it is in, dropout seeded."""
    ticket = trained.ticket
    weights = {name: weight.detach() for name, weight in masked(trained.weights, ticket.mask).items()}
    chosen = {name: weights[name].requires_grad_() for name in ticket.mask}
    images, labels = batch
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed("criterion", ticket.replicate, ticket.level))
        loss = nn.functional.cross_entropy(functional_call(net, weights, (images,)), labels)
    gradients = torch.autograd.grad(loss, list(chosen.values()))
    return {name: (w * g).detach().abs() for (name, w), g in zip(chosen.items(), gradients, strict=True)}


def neuron_l1(net: nn.Module, trained: Trained, batch: Batch) -> dict[str, Tensor]:
    """The sum of |W_T| over all weights into a unit, a score that these weights share; of coupled units summed over all
    their layers (Li et al. 2017, Section 3.1: filters by their L1 norm). For the scope `neurons`, as the next two.
    """
    size = {name: trained.weights[name].abs() for name in trained.ticket.mask}
    return _shared(trained, {group: neuron.total(group, size, 0) for group in _groups(net, batch)})


def neuron_l2(net: nn.Module, trained: Trained, batch: Batch) -> dict[str, Tensor]:
    """The Euclidean norm of all weights W_T into a unit; of coupled units that of all their layers together, as the
    group norm of Fang et al. 2023.
    """
    square = {name: trained.weights[name].double().square() for name in trained.ticket.mask}
    return _shared(trained, {group: neuron.total(group, square, 0).sqrt() for group in _groups(net, batch)})


def batch_norm_scale(net: nn.Module, trained: Trained, batch: Batch) -> dict[str, Tensor]:
    """|gamma| of a unit's batch norm, of coupled units summed over all of theirs (Liu et al. 2017, "network slimming",
    which trains with an L1 penalty on gamma).
    """
    norms = [name for name, layer in net.named_modules() if isinstance(layer, NORMS) and layer.affine]
    gamma = {f"{name}.weight": trained.weights[f"{name}.weight"].abs() for name in norms}
    found = _groups(net, batch)
    without = [group.of(trained.ticket.mask, 0)[-1].name for group in found if not group.of(gamma, 0)]
    if without:
        raise ValueError(f"criterion=batch_norm_scale: {without[0]} has no batch norm behind it; take neuron_l1")
    return _shared(trained, {group: neuron.total(group, gamma, 0) for group in found})


def _groups(net: nn.Module, batch: Batch) -> list[Group]:
    return neuron.groups(net, batch[0].shape[1:])


def _shared(trained: Trained, of_units: Mapping[Group, Tensor]) -> dict[str, Tensor]:
    """Every weight scores what its unit does; those into the classes, which always stay, infinity."""
    scores = {name: torch.full(m.shape, torch.inf) for name, m in trained.ticket.mask.items()}
    for group, values in of_units.items():
        for part in group.of(scores, 0):
            scores[part.name].movedim(0, -1).copy_(values[part.unit])
    return scores
