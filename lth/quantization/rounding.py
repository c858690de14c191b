"""Rounding where parameters meet data: the operations of a forward pass, seen one by one.

Not layers but operations are looked at, so that whoever reads a weight sees it rounded: a layer's own forward, a
subclass's, attention (which multiplies by the weight of its output layer without calling it), a tied embedding or plain
`F.linear(x, layer.weight)`. What is computed from a weight and other parameters alone (weight norm, weight
standardization) is followed and rounded when it meets data. Training and evaluation take the same path: the fused
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
from lth.quantization.layout import alike, extent, same_layout, seen
from lth.quantization.operations import ATTENTION, LAYERS, in_place, mapped, operands, replaced, tensors
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
    wholes: memory -> tensors of the shape of a weight, True if they lie as its transpose, None if that is not known.
    ways: (memory, weight) -> the same of tensors of any shape. ready: memory -> the weight that is rounded there.
    """

    def __init__(self, net: nn.Module, layers: Iterable[Quantized], watch: Watch | None) -> None:
        super().__init__()
        self.layers = {layer.name: layer for layer in layers}
        self.watch = watch or Watch()
        self.alive: list[Tensor] = []
        self.origins = {memory(t): frozenset[str]() for t in (*net.parameters(), *net.buffers())}
        self.origins.pop(0, None)
        self.wholes: dict[int, list[tuple[Tensor, Quantized, bool | None]]] = {}
        self.ways: dict[tuple[int, str], bool | None] = {}
        self.ready: dict[int, Quantized] = {}
        self.rounded: dict[tuple[int, bool, bool, int], Tensor] = {}
        for layer in self.layers.values():
            if not memory(layer.weight):
                raise UserError(f"{layer.name} has no memory of its own (torch.func.vmap), so its products can't be "
                                "followed: compute quantized nets one by one")  # fmt: skip
            self._note(layer.weight, frozenset({layer.name}), (layer, False))

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs, name = kwargs or {}, getattr(func, "__name__", "")
        if func is functional.multi_head_attention_forward:
            with self:
                return ATTENTION(*args, **kwargs)
        if name in ("__get__", "__set__"):  # shapes, and views such as x.T, which share memory
            return func(*args, **kwargs)
        origins = [self._origin(x) for x in tensors(args, kwargs)]
        if None not in origins and not (name in LAYERS and any(origins)):
            return self._follow(name, func(*args, **kwargs), [*tensors(args, kwargs)], origins)
        written = args[:1] if in_place(name) else ()
        for x in (*written, kwargs.get("out")):
            self._forget(x)
        if any(origins):
            change = partial(self._round, straight=name in LAYERS)
            args = (*written, *mapped(change, args[len(written) :]))
            kwargs = {key: mapped(change, x) for key, x in kwargs.items()}
            args, kwargs = self._round_input(name, args, kwargs)
        return func(*args, **kwargs)

    def _origin(self, x: Tensor) -> frozenset[str] | None:
        """Weights that a tensor is computed from; None if data take part."""
        return self.origins.get(memory(x))

    def _follow(self, name: str, out: Any, inputs: list[Tensor], origins: list[frozenset[str] | None]) -> Any:
        """Note what is computed from parameters alone. name: of the operation; zeros_like and the like take no
        values from their arguments.
        """
        names = frozenset[str]().union(*(o for o in origins if o)) if not name.endswith("_like") else frozenset[str]()
        ways = {each: self._way_of(each, inputs) for each in names}
        for x in tensors((out,), {}):
            if in_place(name):
                self.wholes.pop(memory(x), None)
            for each, way in ways.items():
                if in_place(name) or memory(x) not in self.wholes:
                    self.ways[memory(x), each] = way
            same = [layer for each in names if alike(x, (layer := self.layers[each]).weight)]
            self._note(x, names, (same[0], self._turned(x, same[0], ways)) if len(same) == 1 else None)
        return out

    def _turned(self, x: Tensor, layer: Quantized, ways: dict[str, bool | None]) -> bool | None:
        """True if a tensor lies as the transpose of a weight does; None if that is not known of a square one."""
        rows, *columns = layer.weight.shape
        return ways[layer.name] if [rows] == columns else x.shape != layer.weight.shape

    def _way_of(self, name: str, inputs: list[Tensor]) -> bool | None:
        """True if the tensors among these that are computed from a weight lie as its transpose; None if not all do."""
        ways = set[bool | None]()
        for x in inputs:
            if name in (self._origin(x) or ()):
                wholes = [(w, turned) for w, layer, turned in self.wholes.get(memory(x), ()) if layer.name == name]
                ways |= {seen(x, *each) for each in wholes} or {self.ways.get((memory(x), name), False)}
        return ways.pop() if len(ways) == 1 else None

    def _note(self, x: Tensor, names: frozenset[str], whole: tuple[Quantized, bool | None] | None) -> None:
        place = memory(x)
        if not place:
            return
        self.origins[place] = self.origins.get(place, frozenset()) | names
        if whole is not None and (x is whole[0].weight or place not in self.wholes):
            self.wholes.setdefault(place, []).append((x, *whole))
        self.alive.append(x)  # memory must not be given to another tensor while it is followed

    def _forget(self, x: Any) -> None:
        """Data were written into it."""
        if isinstance(x, Tensor):
            self.origins.pop(memory(x), None)

    def _round(self, x: Tensor, straight: bool) -> Tensor:
        """The same view of the rounded weight if the tensor is a view of a weight, or of what is computed from it.
        straight: True where it is the weight of a layer, whose outputs are its rows if nothing else is known.
        """
        for whole, layer, turned in self.wholes.get(memory(x), ()):
            if turned is None and not straight:
                continue
            offset = int(x.storage_offset() - whole.storage_offset())
            if memory(x) in self.origins and offset >= 0 and offset + extent(x) <= extent(whole):
                base = x if x._base is None else x._base  # that of a function with gradients of its own, for one
                turned = seen(x, whole, False) if turned is None else turned
                return self._view(x, base if same_layout(base, whole) else whole, layer, bool(turned))
        return x

    def _view(self, x: Tensor, whole: Tensor, layer: Quantized, turned: bool) -> Tensor:
        rounded = self._rounded(whole, layer, turned)
        if x is whole:
            return rounded
        learns = torch.is_grad_enabled() and x.requires_grad
        if rounded.stride() != whole.stride() or (learns and not rounded.requires_grad):
            return x
        offset = int(x.storage_offset() - whole.storage_offset() + rounded.storage_offset())
        view = rounded.as_strided(x.shape, x.stride(), offset)
        return view if learns else view.detach()

    def _rounded(self, whole: Tensor, layer: Quantized, turned: bool) -> Tensor:
        """Rounded values, computed once in a forward pass."""
        key = id(whole), turned, torch.is_grad_enabled(), 0 if whole.is_inference() else whole._version
        if key not in self.rounded:
            straight = whole.mT if turned else whole
            if layer.observed == [] and whole is not layer.weight:
                layer.calibrate_weight(straight)
            try:
                rounded = layer.rounded(straight)
            except RuntimeError as error:
                if "functorch" not in str(error):
                    raise
                raise UserError(f"{layer.name} is read inside a transform of torch.func, such as vmap, in which "
                                "weights can't be rounded: compute without it") from error  # fmt: skip
            rounded = rounded.mT if turned else rounded
            self.rounded[key] = rounded
            self.ready[memory(rounded)] = layer
            self._note(rounded, frozenset({layer.name}), None)
            self.alive.append(whole)
            self.watch.rounded.append((layer.name, rounded))
        return self.rounded[key]

    def _round_input(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
        """Round the other operand of a product with a rounded weight."""
        args, slots = operands(name, args)
        values: list[Any] = [args[slot] if isinstance(slot, int) else kwargs[slot] for slot in slots]
        for at in (1,) if name in LAYERS else (1, 0) if slots else ():
            if layer := self.ready.get(memory(values[at])):
                self.watch.inputs.append(layer.name)
                return replaced(args, kwargs, slots[1 - at], layer.input(values[1 - at]))
        return args, kwargs
