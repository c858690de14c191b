"""Ticket -> Ticket: the controls. A branch leaves the main line: its trained net is reported and not pruned further."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from lth.seed import generator, seed
from lth.ticket import Ticket, Weights


def reinitialize(ticket: Ticket, *, draw: int, net: nn.Module, init: Callable[[nn.Module, int], Weights]) -> Ticket:
    """The same mask on theta_0', a fresh draw from the distribution of theta_0 (Frankle & Carbin 2019, Section 2)."""
    fresh = init(net, seed("reinitialize", ticket.replicate, ticket.level, draw))
    return replace(ticket, weights=fresh, branch="reinitialize", draw=draw)


def shuffle(ticket: Ticket, *, draw: int, net: nn.Module, init: Callable[[nn.Module, int], Weights]) -> Ticket:
    """The mask permuted within each layer, on the same W_k: per-layer counts stay (Zhou et al. 2019)."""
    random = generator("shuffle", ticket.replicate, ticket.level, draw)

    def permuted(mask: Tensor) -> Tensor:
        return mask.flatten()[torch.randperm(mask.numel(), generator=random)].view_as(mask)

    mask = {name: permuted(m) for name, m in ticket.mask.items()}
    return replace(ticket, mask=mask, branch="shuffle", draw=draw)
