"""Rounding where parameters meet data: the operations of a forward pass, seen one by one.

Not layers but operations are looked at, so that whoever reads a weight sees it rounded: a layer's own forward, a
subclass's, attention (which multiplies by the weight of its output layer without calling it), a tied embedding or plain
`F.linear(x, layer.weight)`. What is computed from a weight and other parameters alone (weight norm, weight
standardization) is followed and rounded when it meets data, with one scale for each output of the layer, or, if its
shape does not tell these from the inputs, of the product. Training and evaluation take the same path: the fused
kernels of transformers, which would read the weights unseen, are not taken while a mode is on.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from lth import UserError
from lth.quantization.layer import Quantized
from lth.quantization.layout import axis_along, extent, orientations, same_layout, steps
from lth.quantization.operations import (
    ATTENTION,
    LAYERS,
    OPERANDS,
    READ,
    in_place,
    is_constant,
    mapped,
    operands,
    replaced,
    sources,
    tensors,
)
from lth.quantization.origins import Origins
from lth.quantization.outputs import Slots, output_axes
from lth.weights import memory


class Watch:
    """A record of forward passes. rounded: name and values of every rounded weight. unrounded: names of weights that
    meet data in float. inputs: name of a weight, once for each product whose inputs were rounded, or would be.
    """

    def __init__(self) -> None:
        self.rounded: list[tuple[str, Tensor]] = []
        self.unrounded: set[str] = set()
        self.inputs: list[str] = []


class Rounding(TorchFunctionMode):
    """Rounds in one forward pass. Tensors are told apart by the memory that they share with their views.

    kept: `made` of the origins of the pass before, as far as the net has kept it, as in a cache. ready: memory -> the
    weight that is rounded there. first: name of a weight -> True if the outputs of its first product lie along the axis
    of the inputs of its layer.
    """

    def __init__(
        self, net: nn.Module, layers: Iterable[Quantized], watch: Watch | None, kept: Iterable[tuple[Tensor, Quantized]]
    ) -> None:
        super().__init__()
        self.watch = watch or Watch()
        self.origins = Origins(net, layers)
        self.ready: dict[int, Quantized] = {}
        self.rounded: dict[tuple[int, bool, bool, int], Tensor] = {}
        self.first: dict[str, bool] = {}
        for x, layer in kept:
            self.origins.note(x, frozenset({layer.name}), layer)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs, name = kwargs or {}, getattr(func, "__name__", "")
        if func is functional.multi_head_attention_forward:
            with self:
                return ATTENTION(*args, **kwargs)
        if name in ("__get__", "__set__"):  # shapes, and views such as x.T, which share memory
            return func(*args, **kwargs)
        changed = args[:1] if in_place(name) else ()
        written = [*tensors((*changed, kwargs.get("out")), {})]
        origins = [self.origins.of(x) for x in sources(name, args, kwargs)]
        if None not in origins and not (name in READ and any(origins)):
            out = func(*args, **kwargs)
            names = frozenset[str]() if is_constant(name) else frozenset[str]().union(*filter(None, origins))
            # Constants that a layer projects are data to it; those that `mv` multiplies estimate a norm of the weight.
            is_query = name in OPERANDS and name != "mv" and not all(origins)
            if written or not is_query or self.origins.is_shaped(out, names):
                self.origins.follow(names, written or tensors((out,), {}), in_place=bool(written))
                return out
        for x in written:
            self.origins.forget(x)  # data are written into it
        if any(origins):
            args, slots = operands(name, args, kwargs)
            axes = output_axes(name, args, kwargs, slots)
            rounded = [self._rounded_argument(x, axes.get(at)) for at, x in enumerate(args)]
            args = (*changed, *rounded[len(changed) :])
            kwargs = {key: self._rounded_argument(x, axes.get(key)) for key, x in kwargs.items()}
            for x in tensors(args[len(changed) :], kwargs):
                self.watch.unrounded |= self._in_float(x)
            args, kwargs = self._round_input(name, args, kwargs, slots)
        return func(*args, **kwargs)

    def _in_float(self, x: Tensor) -> set[str]:
        """Names of the weights that a tensor is or is computed from, unrounded and whole: norms and means of a weight
        are no weights.
        """
        names = self.origins.of(x)
        if not names or memory(x) in self.ready:
            return set()
        held = x.untyped_storage().nbytes() // x.element_size()
        return {name for name in names if held >= self.origins.layers[name].weight.numel()}

    def _rounded_argument(self, x: Any, outputs: list[int] | None) -> Any:
        """An argument with every weight in it rounded. outputs: axes that the outputs have too, if they are known."""
        return mapped(partial(self._round, outputs=outputs), x)

    def _round(self, x: Tensor, outputs: list[int] | None) -> Tensor:
        """The same view of the rounded weight if the tensor is a view of a weight, or of what is computed from it."""
        for whole, layer in self.origins.wholes.get(memory(x), ()):
            offset = int(x.storage_offset() - whole.storage_offset())
            if self.origins.of(x) is None or offset < 0 or offset + extent(x) > extent(whole):
                continue
            base = x if x._base is None else x._base  # that of a function with gradients of its own, for one
            if (transposed := self._transposed(x, whole, layer, outputs)) is not None:
                return self._view(x, base if same_layout(base, whole) else whole, layer, transposed)
        return x

    def _transposed(self, x: Tensor, whole: Tensor, layer: Quantized, outputs: list[int] | None) -> bool | None:
        """True if the outputs lie in a tensor as they do in the transpose of the weight that it is computed from; None
        if neither its shape nor the product tells. x: the view of it that is multiplied. outputs: axes of x.
        """
        shapes = orientations(whole, layer.weight)
        if len(shapes) == 1 or layer.grids == 1:
            return shapes[0]
        if whole is layer.weight:
            found: bool | None = False
        elif outputs is None:
            return None
        else:
            summed = [axis for axis in range(x.ndim) if axis not in outputs]
            along, across = (self._along(x, whole, axes) for axes in (outputs, summed))
            axis = along if along is not None or across is None else 1 - across  # a single output has no axis
            found = None if axis is None else axis != layer.output_axis
        if found is None or layer.scheme.calibration == "min_max":
            return found
        return found if found == self.first.setdefault(layer.name, found) else None  # its ranges are of those outputs

    def _along(self, x: Tensor, whole: Tensor, axes: Iterable[int]) -> int | None:
        """The one of the first two axes of a tensor that all of these axes of a view go along; None if none is."""
        found = {axis_along(whole, x.stride(axis)) for axis in axes if x.shape[axis] > 1 and x.stride(axis)}
        return found.pop() if len(found) == 1 and found <= {0, 1} else None

    def _view(self, x: Tensor, whole: Tensor, layer: Quantized, transposed: bool) -> Tensor:
        rounded = self._rounded(whole, layer, transposed)
        if x is whole:
            return rounded
        learns = torch.is_grad_enabled() and x.requires_grad
        if steps(rounded) != steps(whole) or (learns and not rounded.requires_grad):
            return x
        offset = int(x.storage_offset() - whole.storage_offset() + rounded.storage_offset())
        view = rounded.as_strided(x.shape, x.stride(), offset)
        return view if learns else view.detach()

    def _rounded(self, whole: Tensor, layer: Quantized, transposed: bool) -> Tensor:
        """Rounded values, computed once in a forward pass."""
        changes = whole.is_inference()  # and does not tell
        key = id(whole), transposed, torch.is_grad_enabled(), 0 if changes else whole._version
        if key not in self.rounded or (changes and whole is not layer.weight):
            if torch._C._are_functorch_transforms_active():
                raise UserError(f"{layer.name} is read inside a transform of torch.func, such as vmap, in which "
                                "weights can't be rounded: compute without it")  # fmt: skip
            straight = whole.transpose(0, 1) if transposed else whole
            if layer.observed == [] and whole is not layer.weight:
                layer.calibrate_weight(straight)
            rounded = layer.rounded(straight)
            self.rounded[key] = rounded = rounded.transpose(0, 1) if transposed else rounded
            self.ready[memory(rounded)] = layer
            self.origins.note(rounded, frozenset({layer.name}), None)
            self.origins.alive.append(whole)
            self.watch.rounded.append((layer.name, rounded))
        return self.rounded[key]

    def _round_input(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], slots: Slots) -> tuple[Any, Any]:
        """Round the other operand of a product with a rounded weight."""
        values: list[Any] = [args[slot] if isinstance(slot, int) else kwargs[slot] for slot in slots]
        for at in (1,) if name in LAYERS else (1, 0) if slots else ():
            if layer := self.ready.get(memory(values[at])):
                self.watch.inputs.append(layer.name)
                return replaced(args, kwargs, slots[1 - at], layer.input(values[1 - at]))
        return args, kwargs
