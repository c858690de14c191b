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
from lth.quantization.layout import axis_along, extent, orientations, same_layout
from lth.quantization.operations import ATTENTION, LAYERS, in_place, is_constant, mapped, operands, replaced, tensors
from lth.quantization.outputs import Slots, output_axes
from lth.weights import memory


class Watch:
    """A record of forward passes. rounded: name and values of every rounded weight. inputs: name of a weight, once for
    each product whose inputs were rounded, or would be.
    """

    def __init__(self) -> None:
        self.rounded: list[tuple[str, Tensor]] = []
        self.inputs: list[str] = []


class Rounding(TorchFunctionMode):
    """Rounds in one forward pass. Tensors are told apart by the memory that they share with their views.

    origins: memory -> weights that it is computed from, none for other parameters and constants; data are not in it.
    wholes: memory -> tensors of the shape of a weight or of its transpose, and the weight that they are computed from.
    ready: memory -> the weight that is rounded there. first: name of a weight -> True if the outputs of its first
    product lie along the axis of the inputs of its layer.
    """

    def __init__(self, net: nn.Module, layers: Iterable[Quantized], watch: Watch | None) -> None:
        super().__init__()
        self.layers = {layer.name: layer for layer in layers}
        self.watch = watch or Watch()
        self.alive: list[Tensor] = []
        self.origins = {memory(t): frozenset[str]() for t in (*net.parameters(), *net.buffers())}
        self.origins.pop(0, None)
        self.wholes: dict[int, list[tuple[Tensor, Quantized]]] = {}
        self.ready: dict[int, Quantized] = {}
        self.rounded: dict[tuple[int, bool, bool, int], Tensor] = {}
        self.first: dict[str, bool] = {}
        for layer in self.layers.values():
            if not memory(layer.weight):
                raise UserError(f"{layer.name} has no memory of its own (torch.func.vmap), so its products can't be "
                                "followed: compute quantized nets one by one")  # fmt: skip
            self._note(layer.weight, frozenset({layer.name}), layer)

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
        origins = [self._origin(x) for x in tensors(args, kwargs)]
        if None not in origins and not (name in LAYERS and any(origins)):
            out = func(*args, **kwargs)
            names = frozenset[str]() if is_constant(name) else frozenset[str]().union(*filter(None, origins))
            self._follow(names, written or tensors((out,), {}), in_place=bool(written))
            return out
        for x in written:
            self.origins.pop(memory(x), None)  # data are written into it
        if any(origins):
            args, slots = operands(name, args, kwargs)
            axes = output_axes(name, args, kwargs, slots)
            rounded = [self._rounded_argument(x, axes.get(at, [])) for at, x in enumerate(args)]
            args = (*changed, *rounded[len(changed) :])
            kwargs = {key: self._rounded_argument(x, axes.get(key, [])) for key, x in kwargs.items()}
            args, kwargs = self._round_input(name, args, kwargs, slots)
        return func(*args, **kwargs)

    def _origin(self, x: Tensor) -> frozenset[str] | None:
        """Weights that a tensor is computed from; None if data take part."""
        return self.origins.get(memory(x))

    def _follow(self, names: frozenset[str], made: Iterable[Tensor], *, in_place: bool) -> None:
        """Note what is computed from parameters alone. names: of the weights among them."""
        for x in made:
            same = [layer for each in names if orientations(x, (layer := self.layers[each]).weight)]
            if in_place:  # what the whole is of other weights, or of other places, is no longer what it was
                self.wholes[memory(x)] = [
                    (whole, layer)
                    for whole, layer in self.wholes.pop(memory(x), [])
                    if names <= {layer.name} and (whole is layer.weight or not same)
                ]
            self._note(x, names, same[0] if len(same) == 1 else None)

    def _note(self, x: Tensor, names: frozenset[str], layer: Quantized | None) -> None:
        place = memory(x)
        if not place:
            return
        self.origins[place] = self.origins.get(place, frozenset()) | names
        if layer is not None and (x is layer.weight or not self.wholes.get(place)):
            self.wholes.setdefault(place, []).append((x, layer))
        self.alive.append(x)  # memory must not be given to another tensor while it is followed

    def _rounded_argument(self, x: Any, outputs: list[int]) -> Any:
        """An argument with every weight in it rounded. outputs: axes that the outputs have too, if it is an operand."""
        return mapped(partial(self._round, outputs=outputs), x)

    def _round(self, x: Tensor, outputs: list[int]) -> Tensor:
        """The same view of the rounded weight if the tensor is a view of a weight, or of what is computed from it."""
        for whole, layer in self.wholes.get(memory(x), ()):
            offset = int(x.storage_offset() - whole.storage_offset())
            if memory(x) not in self.origins or offset < 0 or offset + extent(x) > extent(whole):
                continue
            base = x if x._base is None else x._base  # that of a function with gradients of its own, for one
            if (transposed := self._transposed(x, whole, layer, outputs)) is not None:
                return self._view(x, base if same_layout(base, whole) else whole, layer, transposed)
        return x

    def _transposed(self, x: Tensor, whole: Tensor, layer: Quantized, outputs: list[int]) -> bool | None:
        """True if the outputs lie in a tensor as they do in the transpose of the weight that it is computed from; None
        if neither its shape nor the product tells. x: the view of it that is multiplied. outputs: axes of x.
        """
        shapes = orientations(whole, layer.weight)
        if len(shapes) == 1 or layer.grids == 1:
            return shapes[0]
        if whole is layer.weight:
            found: bool | None = False
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
        if rounded.stride() != whole.stride() or (learns and not rounded.requires_grad):
            return x
        offset = int(x.storage_offset() - whole.storage_offset() + rounded.storage_offset())
        view = rounded.as_strided(x.shape, x.stride(), offset)
        return view if learns else view.detach()

    def _rounded(self, whole: Tensor, layer: Quantized, transposed: bool) -> Tensor:
        """Rounded values, computed once in a forward pass."""
        changes = whole.is_inference()  # and does not tell
        key = id(whole), transposed, torch.is_grad_enabled(), 0 if changes else whole._version
        if key not in self.rounded or (changes and whole is not layer.weight):
            straight = whole.transpose(0, 1) if transposed else whole
            if layer.observed == [] and whole is not layer.weight:
                layer.calibrate_weight(straight)
            try:
                rounded = layer.rounded(straight)
            except RuntimeError as error:
                if "functorch" not in str(error):
                    raise
                raise UserError(f"{layer.name} is read inside a transform of torch.func, such as vmap, in which "
                                "weights can't be rounded: compute without it") from error  # fmt: skip
            self.rounded[key] = rounded = rounded.transpose(0, 1) if transposed else rounded
            self.ready[memory(rounded)] = layer
            self._note(rounded, frozenset({layer.name}), None)
            self.alive.append(whole)
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
