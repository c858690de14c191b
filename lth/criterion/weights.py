"""Criteria of the weights before and after training (Zhou et al. 2019, Figure 2, and their released code)."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from lth.data import Examples
from lth.seed import generator
from lth.ticket import Trained

Rule = Callable[[Tensor, Tensor], Tensor]
TINY = 1e-30  # below every weight that is not 0, and exact beside the scores in float64


def magnitude(net: nn.Module, trained: Trained, batch: Examples) -> dict[str, Tensor]:
    """|W_T| (Han et al. 2015; Frankle & Carbin 2019; "large_final" in Zhou et al. 2019)."""
    weights = trained.weights()
    return {name: weights[name].abs() for name in trained.mask}


def small_final(net: nn.Module, trained: Trained, batch: Examples) -> dict[str, Tensor]:
    """-|W_T| (Zhou et al. 2019)."""
    weights = trained.weights()
    return {name: -weights[name].abs() for name in trained.mask}


def large_init(net: nn.Module, trained: Trained, batch: Examples) -> dict[str, Tensor]:
    """|W_k| (Zhou et al. 2019)."""
    return {name: trained.ticket.weights[name].abs() for name in trained.mask}


def small_init(net: nn.Module, trained: Trained, batch: Examples) -> dict[str, Tensor]:
    """-|W_k| (Zhou et al. 2019)."""
    return {name: -trained.ticket.weights[name].abs() for name in trained.mask}


def large_init_large_final(net: nn.Module, trained: Trained, batch: Examples) -> dict[str, Tensor]:
    """Large |W_k| and large |W_T|: those stay that are among the same share of the largest of both (Zhou et al. 2019).

    Their code finds this share by bisection. The lower of the two ranks among the remaining weights of the layer gives
    the same order, and exact counts.
    """
    return _lower_ranks(trained, Tensor.abs)


def small_init_small_final(net: nn.Module, trained: Trained, batch: Examples) -> dict[str, Tensor]:
    """Small |W_k| and small |W_T|, as `large_init_large_final` (Zhou et al. 2019)."""
    return _lower_ranks(trained, lambda weights: -weights.abs())


def magnitude_increase(net: nn.Module, trained: Trained, batch: Examples) -> dict[str, Tensor]:
    """|W_T| - |W_k| (Zhou et al. 2019)."""
    return _of_both(trained, _increase)


def movement(net: nn.Module, trained: Trained, batch: Examples) -> dict[str, Tensor]:
    """|W_T - W_k| (Zhou et al. 2019; not the movement pruning of Sanh et al. 2020)."""
    return _of_both(trained, lambda start, end: (end - start).abs())


def large_final_same_sign(net: nn.Module, trained: Trained, batch: Examples) -> dict[str, Tensor]:
    """|W_T| where W_T has the sign of W_k, elsewhere 0, ties of which are broken at random (Zhou et al. 2019)."""
    return _signed(trained, _final, same=True)


def large_final_diff_sign(net: nn.Module, trained: Trained, batch: Examples) -> dict[str, Tensor]:
    """|W_T| where W_T has another sign than W_k, elsewhere 0, ties of which are broken at random (Zhou et al. 2019)."""
    return _signed(trained, _final, same=False)


def magnitude_increase_same_sign(net: nn.Module, trained: Trained, batch: Examples) -> dict[str, Tensor]:
    """|W_T| - |W_k| where W_T has the sign of W_k, elsewhere 0, which is above a decrease; ties at 0 are broken at
    random (Zhou et al. 2019).
    """
    return _signed(trained, _increase, same=True)


def magnitude_increase_diff_sign(net: nn.Module, trained: Trained, batch: Examples) -> dict[str, Tensor]:
    """|W_T| - |W_k| where W_T has another sign than W_k, elsewhere 0, which is above a decrease; ties at 0 are broken
    at random (Zhou et al. 2019).
    """
    return _signed(trained, _increase, same=False)


def random(net: nn.Module, trained: Trained, batch: Examples) -> dict[str, Tensor]:
    """Uniform on [0, 1): the random-pruning control."""
    ticket = trained.ticket
    source = generator("criterion", ticket.replicate, ticket.level)
    return {name: torch.rand(m.shape, generator=source) for name, m in trained.mask.items()}


def _final(start: Tensor, end: Tensor) -> Tensor:
    return end.abs()


def _increase(start: Tensor, end: Tensor) -> Tensor:
    return end.abs() - start.abs()


def _of_both(trained: Trained, rule: Rule) -> dict[str, Tensor]:
    start, end = trained.ticket.weights, trained.weights()
    return {name: rule(start[name], end[name]) for name in trained.mask}


def _signed(trained: Trained, rule: Rule, *, same: bool) -> dict[str, Tensor]:
    """Scores where the sign test holds, 0 elsewhere; all scores of 0 are put in a random order below 0."""
    ticket, scores = trained.ticket, _of_both(trained, rule)
    holds = _of_both(trained, lambda start, end: (start.sign() == end.sign()) == same)
    source = generator("criterion", ticket.replicate, ticket.level)
    ties = {name: -TINY * torch.rand(m.shape, generator=source, dtype=torch.float64) for name, m in holds.items()}
    return {name: torch.where(holds[name] & (score != 0), score.double(), ties[name]) for name, score in scores.items()}


def _lower_ranks(trained: Trained, size: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
    start, end = trained.ticket.weights, trained.weights()
    return {
        name: torch.minimum(_ranks(size(start[name]), m), _ranks(size(end[name]), m))
        for name, m in trained.mask.items()
    }


def _ranks(values: Tensor, mask: Tensor) -> Tensor:
    """Rank of each remaining value among them, from 0 for the lowest; -1 where the mask is False."""
    ranks, left = torch.full(mask.shape, -1), values[mask]
    order = torch.empty_like(left, dtype=torch.int64)
    order[left.argsort(stable=True)] = torch.arange(len(left))
    ranks[mask] = order
    return ranks.double()
