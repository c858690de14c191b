"""Criteria of whole units: the weights into a unit share its score. For structure=neuron."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from lth import UserError, neuron
from lth.data import Examples
from lth.init import glorot_normal
from lth.layer import BATCH_NORMS
from lth.neuron import EXAMPLES, Group
from lth.ticket import Trained
from lth.weights import copied, load


def neuron_l1(net: nn.Module, trained: Trained, batch: Examples) -> dict[str, Tensor]:
    """Sum of |W_T| over the weights into a unit, which share this score; for coupled units, summed over their layers
    (Li et al. 2017, Section 3.1: L1 norm of filters).
    """
    weights = trained.weights()
    size = {name: weights[name].abs() for name in trained.mask}
    return _broadcast(trained, {group: neuron.total(group, size, 0) for group in _groups(net, batch)})


def neuron_l2(net: nn.Module, trained: Trained, batch: Examples) -> dict[str, Tensor]:
    """L2 norm of the weights W_T into a unit; for coupled units, over all their layers (the group norm of Fang et al.
    2023).
    """
    weights = trained.weights()
    square = {name: weights[name].double().square() for name in trained.mask}
    return _broadcast(trained, {group: neuron.total(group, square, 0).sqrt() for group in _groups(net, batch)})


def batch_norm_scale(net: nn.Module, trained: Trained, batch: Examples) -> dict[str, Tensor]:
    """|gamma| of a unit's batch norm, summed over coupled units (Liu et al. 2017, "network slimming", which trains with
    an L1 penalty on gamma).
    """
    norms = [name for name, layer in net.named_modules() if isinstance(layer, BATCH_NORMS) and layer.affine]
    weights = trained.weights()
    gamma = {f"{name}.weight": weights[f"{name}.weight"].abs() for name in norms}
    groups = _groups(net, batch)
    without = [group.of(trained.mask, 0)[-1].name for group in groups if not group.of(gamma, 0)]
    if without:
        raise UserError(f"criterion=batch_norm_scale: no batch norm follows {without[0]}; use criterion=neuron_l1")
    return _broadcast(trained, {group: neuron.total(group, gamma, 0) for group in groups})


def _groups(net: nn.Module, batch: Examples) -> list[Group]:
    """Groups of the net with other weights: units that are pruned already would not be told apart."""
    drawn = copied(net)
    load(drawn, glorot_normal(net, 0))
    return neuron.groups(drawn, batch[0][:EXAMPLES])


def _broadcast(trained: Trained, of_units: Mapping[Group, Tensor]) -> dict[str, Tensor]:
    """Give each weight the score of its unit; weights into the classes, which always stay, score infinity."""
    scores = {name: torch.full(m.shape, torch.inf) for name, m in trained.mask.items()}
    for group, values in of_units.items():
        for part in group.of(scores, 0):
            own = part.unit >= 0  # of a layer that two groups share, the others are those of the other group
            scores[part.name][own] = values[part.unit[own]].float().view(-1, *[1] * (scores[part.name].ndim - 1))
    return scores
