"""All that, besides the ticket, decides the result of training, and the name of that result.

A recipe is described by values, not by how it was written: a default that is spelled out, and one that is left away,
give the same description, so that YAML and Python find each other's results.
"""

import hashlib
import importlib
import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass, fields
from functools import partial
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from lth import augment, lr, regularization
from lth.data import Data
from lth.ticket import Ticket, content, masked

DIGITS = 20
Precision = Literal["fp32", "bf16"]


@dataclass(frozen=True, eq=False)
class Recipe:
    """model: (shape, classes) -> net. optimizer: parameters -> optimizer. lr: step -> factor on the optimizer's rate.
    steps: T, counted from step 0 also by a ticket that starts at k. batch_size: images per step. evaluate_every: steps
    from one evaluation on validation and test set to the next. augment: images -> images, of training only.
    precision: "fp32", or "bf16": convolutions and linear layers compute in bfloat16, on weights that stay float32.
    regularization: weights -> what is added to the loss, or None. compile: the passes of a fully connected net written
    out: faster, and the same within float tolerance.
    """

    model: Callable[..., nn.Module]
    data: Data
    optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]
    steps: int
    batch_size: int = 60
    evaluate_every: int = 100
    lr: Callable[[int], float] = lr.constant
    augment: Callable[..., Tensor] = augment.none
    regularization: Callable[[list[Tensor]], Tensor | None] = regularization.none
    precision: Precision = "fp32"
    compile: bool = False

    def __post_init__(self) -> None:
        if self.precision not in get_args(Precision):
            raise ValueError(f"precision={self.precision}: choose one of {', '.join(get_args(Precision))}")
        for name in ("steps", "batch_size", "evaluate_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: must be at least 1")

    def net(self, seed: int = 0) -> nn.Module:
        """A fresh network. What an init leaves as the model made it is drawn from `seed`, whatever was drawn before."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self.model(self.data.shape, self.data.classes)


def digest(recipe: Recipe, ticket: Ticket) -> str:
    """The name of a training: SHA-256 of the recipe, m * W_k, m, k and the replicate (which orders the data)."""
    sha = hashlib.sha256(json.dumps(describe(recipe), sort_keys=True).encode())
    sha.update(repr((ticket.step, ticket.replicate)).encode())
    for tensors in (masked(ticket.weights, ticket.mask), ticket.mask):
        for name, tensor in sorted(tensors.items()):
            sha.update(repr((name, str(tensor.dtype), tuple(tensor.shape))).encode())
            sha.update(content(tensor))
    return sha.hexdigest()[:DIGITS]


def short(description: Any) -> str:
    """The digest of a description."""
    return hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()[:DIGITS]


def describe(value: Any) -> Any:
    """Describe a value as JSON: functions by public name or import path, with the arguments that aren't defaults."""
    if isinstance(value, Data):
        return {"name": value.name, "scaling": value.scaling, "fingerprint": value.fingerprint}
    if isinstance(value, Recipe):
        return {
            f.name: describe(getattr(value, f.name))
            for f in fields(value)
            if f.default is MISSING or not _same(getattr(value, f.name), f.default)
        }
    if isinstance(value, Mapping):
        return {str(key): describe(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [describe(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if callable(value):
        return _described_function(value)
    raise TypeError(f"{value!r} can't be part of a recipe: give a function, numbers, text, lists or mappings of them")


def _described_function(function: Callable[..., Any]) -> dict[str, Any]:
    bound: dict[str, Any] = {}
    while isinstance(function, partial):
        if function.args:
            raise TypeError(
                f"{function!r} binds arguments by position: name them, so that a reader knows what they are"
            )
        bound, function = {**function.keywords, **bound}, function.func
    name = _name(function)
    if "<" in name or function.__module__ == "__main__" or inspect.ismethod(function):
        raise TypeError(f"{name} has no import path of its own, so its results can't be found again: use a function "
                        "of a module")  # fmt: skip
    defaults = {k: p.default for k, p in inspect.signature(function).parameters.items()}
    unusual = {k: describe(v) for k, v in sorted(bound.items()) if k not in defaults or not _same(v, defaults[k])}
    return {"function": name, **unusual}


def _name(function: Callable[..., Any]) -> str:
    """`model.lenet_300_100` for a public function of lth, wherever its file is; the import path of any other."""
    module, name = function.__module__, getattr(function, "__qualname__", "<object>")
    if not module.startswith("lth."):
        return f"{module}.{name}"
    room = module.split(".")[1]
    package = importlib.import_module(f"lth.{room}")
    if getattr(package, name, None) is not function or name not in getattr(package, "__all__", [name]):
        raise TypeError(f"{module}.{name} is not public: a result can't be found again by a name that may change")
    return f"{room}.{name}"


def _same(value: Any, default: Any) -> bool:
    """Equal as a description, so that [1, 2] is (1, 2) and 1 is 1.0, but 1 isn't True."""
    return default is not inspect.Parameter.empty and json.dumps(describe(value)) == json.dumps(describe(default))
