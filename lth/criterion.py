"""Pruning criteria: (net, trained, batch) -> scores, one per prunable weight; high scores stay.

A criterion sees W_k (the ticket's weights), W_T and a batch (inputs, targets) of training data; one that needs the loss
has a keyword `task` and is given that of the recipe. It modifies nothing: gradients are taken by `functional_call`.
Randomness is seeded by (replicate, level).
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call

from lth import UserError, neuron
from lth.layer.norms import input_norms
from lth.neuron import EXAMPLES, Group
from lth.seed import generator, seed
from lth.task import CLASSIFICATION, Task
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
    """Uniform on [0, 1): the random-pruning control."""
    ticket = trained.ticket
    source = generator("criterion", ticket.replicate, ticket.level)
    return {name: torch.rand(m.shape, generator=source) for name, m in trained.mask.items()}


def snip(net: nn.Module, trained: Trained, batch: Batch, *, task: Task = CLASSIFICATION) -> dict[str, Tensor]:
    """|W dL/dW| at W_T (Lee et al. 2019, Eq. 6, unnormalized), in the net's current mode; dropout is seeded."""
    ticket = trained.ticket
    weights = {name: weight.detach() for name, weight in masked(trained.weights(), trained.mask).items()}
    leaves = {name: weights[name].requires_grad_() for name in trained.mask}
    inputs, targets = batch
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed("criterion", ticket.replicate, ticket.level))
        loss = task.loss(functional_call(net, weights, (inputs,)), targets)
    gradients = torch.autograd.grad(loss, list(leaves.values()))
    return {name: (w * g).detach().abs() for (name, w), g in zip(leaves.items(), gradients, strict=True)}


def wanda(net: nn.Module, trained: Trained, batch: Batch) -> dict[str, Tensor]:
    """|W_T| ||X||: X are the values that a weight is multiplied with, over the batch and, of filters, the places of an
    image, in evaluation mode (Sun et al. 2024, Equation 1). The paper compares within an output: structure=row.
    """
    weights = {name: weight.detach() for name, weight in masked(trained.weights(), trained.mask).items()}
    norms = input_norms(net, weights, trained.mask, batch[0])
    return {name: weights[name].abs() * norm for name, norm in norms.items()}


def neuron_l1(net: nn.Module, trained: Trained, batch: Batch) -> dict[str, Tensor]:
    """Sum of |W_T| over the weights into a unit, which share this score; for coupled units, summed over their layers
    (Li et al. 2017, Section 3.1: L1 norm of filters). For structure=neuron, like the next two.
    """
    weights = trained.weights()
    size = {name: weights[name].abs() for name in trained.mask}
    return _broadcast(trained, {group: neuron.total(group, size, 0) for group in _groups(net, batch)})


def neuron_l2(net: nn.Module, trained: Trained, batch: Batch) -> dict[str, Tensor]:
    """L2 norm of the weights W_T into a unit; for coupled units, over all their layers (the group norm of Fang et al.
    2023).
    """
    weights = trained.weights()
    square = {name: weights[name].double().square() for name in trained.mask}
    return _broadcast(trained, {group: neuron.total(group, square, 0).sqrt() for group in _groups(net, batch)})


def batch_norm_scale(net: nn.Module, trained: Trained, batch: Batch) -> dict[str, Tensor]:
    """|gamma| of a unit's batch norm, summed over coupled units (Liu et al. 2017, "network slimming", which trains with
    an L1 penalty on gamma).
    """
    norms = [name for name, layer in net.named_modules() if isinstance(layer, NORMS) and layer.affine]
    weights = trained.weights()
    gamma = {f"{name}.weight": weights[f"{name}.weight"].abs() for name in norms}
    groups = _groups(net, batch)
    without = [group.of(trained.mask, 0)[-1].name for group in groups if not group.of(gamma, 0)]
    if without:
        raise UserError(f"criterion=batch_norm_scale: no batch norm follows {without[0]}; use criterion=neuron_l1")
    return _broadcast(trained, {group: neuron.total(group, gamma, 0) for group in groups})


def _groups(net: nn.Module, batch: Batch) -> list[Group]:
    return neuron.groups(net, batch[0][:EXAMPLES])


def _broadcast(trained: Trained, of_units: Mapping[Group, Tensor]) -> dict[str, Tensor]:
    """Give each weight the score of its unit; weights into the classes, which always stay, score infinity."""
    scores = {name: torch.full(m.shape, torch.inf) for name, m in trained.mask.items()}
    for group, values in of_units.items():
        for part in group.of(scores, 0):
            scores[part.name].movedim(0, -1).copy_(values[part.unit])
    return scores
