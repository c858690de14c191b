"""Criteria of gradients: of the loss on a batch, or of the net's own outputs."""

import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from lth import UserError
from lth.data import Examples
from lth.seed import seeded
from lth.task import CLASSIFICATION, Task
from lth.ticket import Trained, masked
from lth.weights import called, copied

log = logging.getLogger("lth")


def snip(net: nn.Module, trained: Trained, batch: Examples, *, task: Task = CLASSIFICATION) -> dict[str, Tensor]:
    """|W dL/dW| at W_T (Lee et al. 2019, Eq. 6; to divide by the sum would not change the order), in the net's current
    mode; dropout is seeded.
    """
    weights, gradients = _gradients(net, trained, batch, task)
    return {name: (weights[name] * g).abs() for name, g in gradients.items()}


def gradient(net: nn.Module, trained: Trained, batch: Examples, *, task: Task = CLASSIFICATION) -> dict[str, Tensor]:
    """|dL/dW| at W_T, as `snip`. (The "grad" in the code of Zhou et al. 2019 is that of the first step.)"""
    return {name: g.abs() for name, g in _gradients(net, trained, batch, task)[1].items()}


def grasp(
    net: nn.Module, trained: Trained, batch: Examples, *, task: Task = CLASSIFICATION, temperature: float = 200.0
) -> dict[str, Tensor]:
    """W (H g) at W_T, of the loss of outputs that are divided by `temperature`: weights stay whose removal reduces the
    gradient flow most (the negative of Equation 8 of Wang et al. 2020, where the highest scores are removed). Of one
    batch as it comes; their code takes ten examples of each class, in two halves.
    """
    if not temperature > 0:
        raise UserError(f"criterion.temperature={temperature}: outputs are divided by it, give a number above 0")
    weights, leaves = _leaves(trained)
    with _numbers(trained):
        with sdpa_kernel(SDPBackend.MATH):  # fused attention has no second derivative
            loss = _loss(net, weights, batch, task, temperature)
        given = _by(loss, leaves, create_graph=True)
        # The flow of what is left.
        first = [g * trained.mask[name] for name, g in zip(trained.mask, given, strict=True)]
        flow = torch.stack([(g * g.detach()).sum() for g in first]).sum()
        second = _by(flow, leaves)
    return {name: (w * h).detach() for name, w, h in zip(trained.mask, leaves, second, strict=True)}


def synflow(net: nn.Module, trained: Trained, batch: Examples) -> dict[str, Tensor]:
    """|W| dR/d|W| at W_T, R the sum of the outputs for one input of ones through the net of absolute values, in
    evaluation and float64, or float32 or the types of its layers if the net takes nothing else: data decide nothing
    (Tanaka et al. 2020, Section 5, whose code takes the absolute value of running statistics too). Meant to be scored
    again in 100 rounds: schedule=one_shot schedule.rounds=100.
    """
    if not batch[0].is_floating_point():
        raise UserError("criterion=synflow needs inputs that are numbers, not tokens: take another, such as magnitude")
    for dtype in (torch.float64, torch.float32):
        try:
            scores = _flow(net, trained, batch[0].shape[1:], dtype)
            break
        except RuntimeError as error:
            log.debug("criterion=synflow does not score in %s: %s", dtype, error)
    else:
        scores = _flow(net, trained, batch[0].shape[1:], None)
    if not all(s.isfinite().all() for s in scores.values()):
        raise UserError(f"criterion=synflow: scores of {type(net).__name__} are too large for float32, and it does not "
                        "compute in float64; take another, such as criterion=snip")  # fmt: skip
    return scores


def _flow(net: nn.Module, trained: Trained, shape: Sequence[int], dtype: torch.dtype | None) -> dict[str, Tensor]:
    """The scores of `synflow`, computed in this type; None for those that the layers have."""
    weights = {name: _absolute(w, dtype) for name, w in masked(trained.weights(), trained.mask).items()}
    leaves = [weights[name].requires_grad_() for name in trained.mask]
    with _numbers(trained):
        outputs = called(copied(net).to(dtype=dtype).eval(), weights, torch.ones(1, *shape, dtype=dtype))
        gradients = _by(outputs.sum(), leaves)
    return {name: (w * g).detach() for name, w, g in zip(trained.mask, leaves, gradients, strict=True)}


def _absolute(weight: Tensor, dtype: torch.dtype | None) -> Tensor:
    return weight.detach().to(dtype or weight.dtype).abs() if weight.is_floating_point() else weight


def _by(value: Tensor, leaves: Sequence[Tensor], *, create_graph: bool = False) -> Sequence[Tensor]:
    """Gradients by these weights; 0 of one that this pass did not use, as of a layer that is dropped at random."""
    return torch.autograd.grad(value, leaves, create_graph=create_graph, allow_unused=True, materialize_grads=True)


def _leaves(trained: Trained) -> tuple[dict[str, Tensor], list[Tensor]]:
    """m * W_T, and of these the prunable weights, of which gradients are taken."""
    weights = {name: weight.detach() for name, weight in masked(trained.weights(), trained.mask).items()}
    return weights, [weights[name].requires_grad_() for name in trained.mask]


def _numbers(trained: Trained) -> AbstractContextManager[None]:
    """Random numbers of a pass, and of parts that are computed again in the backward pass."""
    return seeded("criterion", trained.ticket.replicate, trained.ticket.level)


def _loss(net: nn.Module, weights: dict[str, Tensor], batch: Examples, task: Task, temperature: float = 1.0) -> Tensor:
    inputs, targets = batch
    outputs: Tensor = called(net, weights, inputs)
    return task.loss(outputs if temperature == 1 else outputs / temperature, targets)


def _gradients(
    net: nn.Module, trained: Trained, batch: Examples, task: Task
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """m * W_T, and the gradients of the loss by its prunable weights."""
    weights, leaves = _leaves(trained)
    with _numbers(trained):
        gradients = _by(_loss(net, weights, batch, task), leaves)
    return {name: w.detach() for name, w in weights.items()}, dict(zip(trained.mask, gradients, strict=True))
