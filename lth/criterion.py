"""(net, trained, batch) -> scores, one per prunable weight; high stays.

A criterion sees both ends of training, W_k (the ticket's) and W_T, and a batch (images, labels) of training data. It
changes nothing: gradients are taken by `functional_call`. What is random is seeded by (replicate, level).
"""

import torch
from torch import Tensor, nn
from torch.func import functional_call

from lth.seed import generator, seed
from lth.ticket import Trained, masked

Batch = tuple[Tensor, Tensor]


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
