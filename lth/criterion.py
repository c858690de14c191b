"""(net, trained, batch) -> scores, one per prunable weight; high stays.

A criterion sees both ends of training, W_k (the ticket's) and W_T, and a batch (images, labels) of training data. It
changes nothing: gradients are taken by `functional_call`. What is random is seeded by (replicate, level).
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call

from lth import UserError, neuron
from lth.neuron import Group
from lth.seed import generator, seed
from lth.ticket import Trained, masked

Batch = tuple[Tensor, Tensor]
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def magnitude(net: nn.Module, trained: Trained, batch: Batch) -> dict[str, Tensor]:
    """|W_T| (Han et al. 2015; Frankle & Carbin 2019; "large_final" in Zhou et al. 2019)."""
    weights = trained.weights()
    return {name: weights[name].abs() for name in trained.mask}


def large_init(net: nn.Module, trained: Trained, batch: Batch) -> dict[str, Tensor]:
    """|W_k| (Zhou et al. 2019)."""
    return {name: trained.ticket.weights[name].abs() for name in trained.mask}


def magnitude_increase(net: nn.Module, trained: Trained, batch: Batch) -> dict[str, Tensor]:
    """|W_T| - |W_k| (Zhou et al. 2019)."""
    start, end = trained.ticket.weights, trained.weights()
    return {name: end[name].abs() - start[name].abs() for name in trained.mask}


def movement(net: nn.Module, trained: Trained, batch: Batch) -> dict[str, Tensor]:
    """|W_T - W_k| (Zhou et al. 2019)."""
    start, end = trained.ticket.weights, trained.weights()
    return {name: (end[name] - start[name]).abs() for name in trained.mask}


def random(net: nn.Module, trained: Trained, batch: Batch) -> dict[str, Tensor]:
    """Uniform on [0, 1): the control in which nothing is learned about which weights matter."""
    ticket = trained.ticket
    source = generator("criterion", ticket.replicate, ticket.level)
    return {name: torch.rand(m.shape, generator=source) for name, m in trained.mask.items()}


def snip(net: nn.Module, trained: Trained, batch: Batch) -> dict[str, Tensor]:
    """|W dL/dW| at W_T (Lee et al. 2019, Eq. 6, unnormalized); the net in the mode it is in, dropout seeded."""
    ticket = trained.ticket
    weights = {name: weight.detach() for name, weight in masked(trained.weights(), trained.mask).items()}
    chosen = {name: weights[name].requires_grad_() for name in trained.mask}
    images, labels = batch
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed("criterion", ticket.replicate, ticket.level))
        loss = nn.functional.cross_entropy(functional_call(net, weights, (images,)), labels)
    gradients = torch.autograd.grad(loss, list(chosen.values()))
    return {name: (w * g).detach().abs() for (name, w), g in zip(chosen.items(), gradients, strict=True)}


def neuron_l1(net: nn.Module, trained: Trained, batch: Batch) -> dict[str, Tensor]:
    """Sum of |W_T| over all weights into a unit, a score that these weights share; of coupled units summed over all
    their layers (Li et al. 2017, Section 3.1: filters by their L1 norm). For structure=neuron, as the next two.
    """
    weights = trained.weights()
    size = {name: weights[name].abs() for name in trained.mask}
    return _shared(trained, {group: neuron.total(group, size, 0) for group in _groups(net, batch)})


def neuron_l2(net: nn.Module, trained: Trained, batch: Batch) -> dict[str, Tensor]:
    """Euclidean norm of all weights W_T into a unit; of coupled units, of all their layers together (the group norm of
    Fang et al. 2023).
    """
    weights = trained.weights()
    square = {name: weights[name].double().square() for name in trained.mask}
    return _shared(trained, {group: neuron.total(group, square, 0).sqrt() for group in _groups(net, batch)})


def batch_norm_scale(net: nn.Module, trained: Trained, batch: Batch) -> dict[str, Tensor]:
    """|gamma| of a unit's batch norm, of coupled units summed over all of theirs (Liu et al. 2017, "network slimming",
    which trains with an L1 penalty on gamma).
    """
    norms = [name for name, layer in net.named_modules() if isinstance(layer, NORMS) and layer.affine]
    weights = trained.weights()
    gamma = {f"{name}.weight": weights[f"{name}.weight"].abs() for name in norms}
    groups = _groups(net, batch)
    without = [group.of(trained.mask, 0)[-1].name for group in groups if not group.of(gamma, 0)]
    if without:
        raise UserError(f"criterion=batch_norm_scale: no batch norm follows {without[0]}; take criterion=neuron_l1")
    return _shared(trained, {group: neuron.total(group, gamma, 0) for group in groups})


def _groups(net: nn.Module, batch: Batch) -> list[Group]:
    return neuron.groups(net, batch[0].shape[1:])


def _shared(trained: Trained, of_units: Mapping[Group, Tensor]) -> dict[str, Tensor]:
    """Spread the scores of units over their weights; weights into the classes, which always stay, score infinity."""
    scores = {name: torch.full(m.shape, torch.inf) for name, m in trained.mask.items()}
    for group, values in of_units.items():
        for part in group.of(scores, 0):
            scores[part.name].movedim(0, -1).copy_(values[part.unit])
    return scores
