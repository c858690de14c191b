"""W, the weights of a net as a state dict that names every tensor once.

A module registered under two names and a tied parameter stand in `state_dict()` under each of their names. Here the
first name stands for all, so that one parameter has one mask, one count and one value.
"""

import copy
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.parameter import is_lazy

from lth import UserError
from lth.seed import seeded, undisturbed


def weights_of(net: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by their first name; the net's own tensors, not copies."""
    first = first_names(net)
    return {name: tensor for name, tensor in _state(net).items() if first[name] == name}


def initial(init: Callable[[nn.Module, int], Mapping[str, Tensor]], net: nn.Module, seed: int) -> dict[str, Tensor]:
    """theta_0 of a net by any init; a tied or shared tensor stands once, under its first name."""
    with seeded("weights", seed):
        weights = init(net, seed)
    return {name: weights[name] for name in weights_of(net)}


def on_meta(build: Callable[[], nn.Module]) -> nn.Module | None:
    """The net without memory for its values; None of one that computes while it is built."""
    try:
        with undisturbed(), torch.device("meta"):
            return build()
    except Exception:  # of the many that a missing value can lead to
        return None


def load(net: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Copy weights into the net, in place. Raises RuntimeError if a name or shape differs."""
    first = first_names(net)
    named = {name: weights[first[name]] for name in first if first[name] in weights}
    full = OrderedDict({**named, **{name: value for name, value in weights.items() if name not in first}})
    full._metadata = net.state_dict()._metadata  # type: ignore[attr-defined]  # versions, which some nets insist on
    net.load_state_dict(full)


def called(net: nn.Module, weights: Mapping[str, Tensor], inputs: Tensor) -> Any:
    """Outputs of the net with these weights, by their first names, in the place of its own, which it keeps. Told to tie
    weights itself, `functional_call` does not put back those of a module that is registered under two names.
    """
    first = first_names(net)
    parts = ((f"{path}." if path else "", part) for path, part in net.named_modules())  # each module once
    places = [place + own for place, part in parts for own in (*part._parameters, *part._buffers)]
    own = {place: weights[first[place]] for place in places if first.get(place) in weights}
    if missing := {first.get(name, name) for name in weights} - {first[place] for place in own}:
        raise UserError(f"{min(missing)} is not where {type(net).__name__} keeps it: leave its state dict as it is")
    return functional_call(net, own, (inputs,), tie_weights=False)


def first_names(net: nn.Module) -> dict[str, str]:
    """Every name of a parameter or buffer -> the first name of the same tensor."""
    names: dict[object, str] = {}
    return {name: names.setdefault(_place(name, tensor), name) for name, tensor in _state(net).items()}


def in_one_memory(net: nn.Module) -> tuple[str, str] | None:
    """Names of two different parameters in the memory of one tensor, such as a weight and its transpose, by which a net
    is followed (`lth.layer.trace`).
    """
    names: dict[int, str] = {}
    for name, p in net.named_parameters():
        if (at := memory(p)) and p.numel() and names.setdefault(at, name) != name:
            return names[at], name
    return None


def equal(one: Tensor, other: Tensor) -> bool:
    """True if two tensors have the same shape, type and values, NaN the same as NaN."""
    alike = one.shape == other.shape and one.dtype == other.dtype
    return alike and torch.allclose(one, other, rtol=0, atol=0, equal_nan=True)


def shared(net: nn.Module) -> set[int]:
    """Identities (`id`) of the parameters that have several names."""
    names = Counter(id(parameter) for _, parameter in net.named_parameters(remove_duplicate=False))
    return {each for each, count in names.items() if count > 1}


def copied(net: nn.Module) -> nn.Module:
    """A copy of the net; weights that were computed, which Python can't copy, are computed again when it is called."""
    tensors = (x for layer in net.modules() for x in vars(layer).values() if isinstance(x, Tensor))
    return copy.deepcopy(net, {id(x): x.detach().clone() for x in tensors if not x.is_leaf})


def memory(x: Tensor) -> int:
    """Identify the memory of a tensor; 0 if it has none of its own."""
    try:
        return int(x.untyped_storage()._cdata)
    except (NotImplementedError, RuntimeError):  # sparse; batched by vmap
        return 0


def _state(net: nn.Module) -> dict[str, Tensor]:
    state: dict[str, Tensor] = net.state_dict()
    for name, value in state.items():
        if not isinstance(value, Tensor):
            raise UserError(
                f"{name} of {type(net).__name__} is extra state of type {type(value).__name__}, which can't be rewound "
                "or stored: keep it in a buffer (register_buffer)"
            )
    return state


def _place(name: str, tensor: Tensor) -> object:
    """Identify the memory of a tensor's values; an empty tensor shares none."""
    if is_lazy(tensor) or not tensor.numel() or tensor.is_meta:
        return name
    return tensor.device, tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype
