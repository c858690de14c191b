"""Steps of an optimizer, without what PyTorch wraps around them, and with the mask on the gradients where that is
exact.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.optimizer import _global_optimizer_post_hooks, _global_optimizer_pre_hooks


class Update:
    """Takes a step with the gradients that the parameters have, and leaves pruned weights at 0.

    pruned, factors: the weights of layers with a mask, and 1 where it keeps one, else 0; they are read at every step. A
    gradient that is 0 leaves a weight of 0 where it is under SGD, Adam and AdamW, whatever their momentum and weight
    decay, so that there the mask goes onto the gradients, and the moments of pruned weights stay 0. `keeps_gradients`:
    an updater wants to see those of pruned weights.
    """

    def __init__(self, optimizer: Optimizer, *, keeps_gradients: bool) -> None:
        self.optimizer = optimizer
        self.direct = is_plain(optimizer)
        self.on_gradients = self.direct and not keeps_gradients and all(_stays(g) for g in optimizer.param_groups)

    def step(self, pruned: Sequence[Tensor], factors: Sequence[Tensor]) -> None:
        """Take a step."""
        with torch.no_grad():
            if self.on_gradients and factors:
                learning = [(w.grad, f) for w, f in zip(pruned, factors, strict=True) if w.grad is not None]
                if learning:
                    torch._foreach_mul_([gradient for gradient, _ in learning], [factor for _, factor in learning])
            if not self.direct or not _has_state(self.optimizer):
                self.optimizer.step()
            else:
                for group in self.optimizer.param_groups:
                    _STEPS[type(self.optimizer)](self.optimizer, group)
            if not self.on_gradients and factors:
                torch._foreach_mul_([*pruned], [*factors])

    def forget(self, pruned: Sequence[Tensor], factors: Sequence[Tensor]) -> None:
        """Set the moments of pruned weights to 0, as a state has them not that was saved with the mask on weights."""
        if self.on_gradients:
            for weight, factor in zip(pruned, factors, strict=True):
                for value in self.optimizer.state.get(weight, {}).values():
                    if isinstance(value, Tensor) and value.shape == weight.shape:
                        value.mul_(factor)


def is_plain(optimizer: Optimizer) -> bool:
    """True if it is PyTorch's own SGD, Adam or AdamW with fused kernels on a CPU, and nothing is hooked into it."""
    hooks = (optimizer._optimizer_step_pre_hooks, optimizer._optimizer_step_post_hooks)
    if type(optimizer) not in _STEPS or any(hooks) or _global_optimizer_pre_hooks or _global_optimizer_post_hooks:
        return False
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    if len({p.dtype for p in parameters}) > 1:
        return False
    return all(group.get("fused") and isinstance(group["lr"], int | float) for group in optimizer.param_groups) and all(
        type(p) is nn.Parameter and p.device.type == "cpu" and p.is_floating_point() for p in parameters
    )


def _has_state(optimizer: Optimizer) -> bool:
    """False before a parameter's first step, which PyTorch's own function takes, since it makes the state."""
    moving = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    stateless = type(optimizer) is SGD and not any(group["momentum"] for group in optimizer.param_groups)
    return bool(moving) and (stateless or all(p in optimizer.state for p in moving))


def _stays(group: dict[str, Any]) -> bool:
    """True if a weight of 0 with a gradient and moments of 0 stays 0: Adam divides 0 by epsilon."""
    return bool(group.get("eps", 1) > 0)


def _moving(optimizer: Optimizer, group: dict[str, Any]) -> tuple[list[Tensor], list[Tensor], list[dict[str, Any]]]:
    parameters = [p for p in group["params"] if p.grad is not None]
    return parameters, [p.grad for p in parameters], [optimizer.state[p] for p in parameters]


def _adam(optimizer: Optimizer, group: dict[str, Any]) -> None:
    parameters, gradients, states = _moving(optimizer, group)
    moments = [[state[key] for state in states] for key in ("exp_avg", "exp_avg_sq", "step")]
    most = [state["max_exp_avg_sq"] for state in states] if group["amsgrad"] else []
    torch._foreach_add_(moments[2], 1)
    decoupled = group.get("decoupled_weight_decay", type(optimizer) is AdamW)
    step = torch._fused_adamw_ if decoupled else torch._fused_adam_
    step(
        parameters, gradients, moments[0], moments[1], most, moments[2], amsgrad=group["amsgrad"], lr=group["lr"],
        beta1=group["betas"][0], beta2=group["betas"][1], weight_decay=group["weight_decay"], eps=group["eps"],
        maximize=group["maximize"], grad_scale=None, found_inf=None,
    )  # fmt: skip


def _sgd(optimizer: Optimizer, group: dict[str, Any]) -> None:
    parameters, gradients, states = _moving(optimizer, group)
    buffers = [state["momentum_buffer"] for state in states] if group["momentum"] else []
    torch._fused_sgd_(
        parameters, gradients, buffers, weight_decay=group["weight_decay"], momentum=group["momentum"],
        lr=group["lr"], dampening=group["dampening"], nesterov=group["nesterov"], maximize=group["maximize"],
        is_first_step=False, grad_scale=None, found_inf=None,
    )  # fmt: skip


_STEPS: dict[type[Optimizer], Callable[[Optimizer, dict[str, Any]], None]] = {SGD: _sgd, Adam: _adam, AdamW: _adam}
