"""Fully connected nets: linear layers with ReLU between them, whose steps need no autograd."""

from collections.abc import Iterator

from torch import Tensor, nn
from torch.nn.modules import module as every_module

HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def chain(net: nn.Module, dimensions: int) -> list[nn.Linear]:
    """The linear layers, in order, of a net that is made of `nn.Flatten`, `nn.Linear` and, between these, `nn.ReLU`,
    all of whose parameters learn; empty if it is any other net. dimensions: of one input.
    """
    parts = [*_parts(net)]
    if not all(is_plain_module(part) for part in net.modules()):
        return []
    kinds = [type(part) for part in parts]
    flat = kinds[:1] == [nn.Flatten]
    if flat and (parts[0].start_dim != 1 or parts[0].end_dim != -1):
        return []
    layers = [part for part in parts if type(part) is nn.Linear]
    pattern = [nn.Linear, nn.ReLU] * len(layers)
    if not layers or kinds[flat:] != pattern[:-1] or not (flat or dimensions == 1):
        return []
    parameters = [p for layer in layers for p in layer.parameters()]
    distinct = len({id(p) for p in parameters}) == len(parameters) == len([*net.parameters()])
    alike = len({p.dtype for p in parameters}) == 1 and all(p.requires_grad for p in parameters)
    return layers if distinct and alike else []


def _parts(net: nn.Module) -> Iterator[nn.Module]:
    if type(net) is not nn.Sequential:
        yield net
        return
    for part in net:
        yield from _parts(part)


def is_plain_module(part: nn.Module) -> bool:
    """True if calling the module is calling the forward function of its class, and nothing is hooked into it."""
    own = any(getattr(part, hooks) for hooks in HOOKS) or any(map(_has_hooks, part.parameters(recurse=False)))
    return "forward" not in vars(part) and not own and not any(getattr(every_module, f"_global{h}") for h in HOOKS)


def _has_hooks(parameter: Tensor) -> bool:
    return bool(parameter._backward_hooks or getattr(parameter, "_post_accumulate_grad_hooks", None))
