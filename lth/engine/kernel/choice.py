"""Choice of the kernel of a training: dense products, or kept weights only."""

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import nn
from torch.optim import Optimizer

from lth import UserError, regularization
from lth.engine.kernel.chain import chain
from lth.engine.kernel.update import is_plain, keeps_zeros
from lth.keywords import unbound
from lth.recipe import Recipe
from lth.task import correct, cross_entropy
from lth.ticket import Mask

# Share of the weights up to which kernel=auto takes the sparse kernel: at more, `lth speed --densities` shows little or
# no gain. The choice depends on recipe and density, and not on how fast the machine is, so that it is the same
# everywhere.
SHARE = 0.55
# Penalties that take every weight by itself, so that kept weights have the same alone.
PENALTIES = (regularization.none, regularization.l1, regularization.l2)


def chosen(
    recipe: Recipe, net: nn.Module, optimizer: Optimizer, mask: Mask, device: torch.device
) -> Literal["dense", "sparse"]:
    """Return the kernel of a training. Raises UserError if kernel=sparse is asked for and can't train this net."""
    if recipe.kernel == "dense":
        return "dense"
    kept, total = sum(int(m.sum()) for m in mask.values()), sum(m.numel() for m in mask.values())
    if recipe.kernel == "auto" and (not total or kept > SHARE * total):
        return "dense"
    reason = why_dense(recipe, net, optimizer, mask, device)
    if reason and recipe.kernel == "sparse":
        raise UserError(f"kernel=sparse: {reason}, and no linear layer can hold kept weights alone; use kernel=auto")
    return "dense" if reason else "sparse"


def why_dense(recipe: Recipe, net: nn.Module, optimizer: Optimizer, mask: Mask, device: torch.device) -> str:
    """Reason why the sparse kernel can't train a net by a recipe; empty if it can."""
    if device.type != "cpu":
        return f"it runs on a CPU, and this is {device.type}"
    layers = chain(net, len(recipe.data.shape))
    if not layers:
        return f"{type(net).__name__} is more than linear layers with ReLU between them, or not all of it learns"
    if (recipe.task.losses, recipe.task.metrics, recipe.task.target) != (cross_entropy, correct, "class"):
        return f"task={recipe.task.name} is not classification"
    if recipe.precision != "fp32":
        return f"precision={recipe.precision}"
    if recipe.moves_mask:
        return "the updater moves the mask"
    if not is_plain(optimizer):
        return f"{type(optimizer).__name__} is not SGD, Adam or AdamW of PyTorch with fused=true"
    if unbound(recipe.regularization)[0] is not regularization.none and len(layers) != len(mask):
        return "the regularization takes some layers and not others"
    return _obstacle(optimizer, recipe.regularization, net)


def _obstacle(optimizer: Optimizer, penalty: Callable[..., Any], net: nn.Module) -> str:
    """Reason why the kernels can't take the steps of an optimizer that is plain; empty if they can."""
    group = optimizer.param_groups[0]
    if len(optimizer.param_groups) > 1:
        return "the optimizer has several groups of parameters"
    if {id(p) for p in group["params"]} != {id(p) for p in net.parameters()}:
        return "the optimizer takes some parameters and not others"
    if not keeps_zeros(group):
        return f"optimizer.eps={group['eps']}"
    for option in ("amsgrad", "maximize"):
        if group.get(option):
            return f"optimizer.{option}=true"
    return "" if unbound(penalty)[0] in PENALTIES else "the regularization is neither l1 nor l2"
