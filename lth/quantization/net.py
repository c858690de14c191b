"""Quantized nets: a net that rounds its weights and inputs in every forward pass, and the calibration of its ranges."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any
from weakref import ref

import torch
from torch import Tensor, nn

from lth import UserError
from lth.model.check import built
from lth.quantization.grid import Bits
from lth.quantization.layer import Quantized, found
from lth.quantization.rounding import Rounding, Watch
from lth.quantization.scheme import Calibration, Scheme
from lth.seed import start_host, undisturbed
from lth.weights import copied, load, weights_of


class Quantization:
    """The weights of a net that are rounded."""

    def __init__(self, net: nn.Module, scheme: Scheme) -> None:
        self.net, self.layers = net, list(found(net, scheme))
        self.watch: Watch | None = None
        self.on = False
        self.made: list[tuple[ref[Tensor], Quantized]] = []  # by the last pass

    @contextmanager
    def rounding(self) -> Iterator[None]:
        """Round what is computed inside, once: a part of the net that is called within the net changes nothing."""
        if self.on:
            yield
            return
        self.on = True
        kept = [(x, layer) for made, layer in self.made if (x := made()) is not None]
        mode = Rounding(self.net, self.layers, self.watch, kept)
        try:
            with mode:
                yield
        finally:
            self.on = False
            self.made = [(ref(x), layer) for x, layer in mode.origins.made]

    @contextmanager
    def watched(self) -> Iterator[Watch]:
        """Record the forward passes inside."""
        self.watch = Watch()
        try:
            yield self.watch
        finally:
            self.watch = None


class _Rounds:
    """Base class of the classes that a quantized net, and each part of it, take in place of their own: a part may be
    called alone, as when it is computed again for the backward pass (checkpointing).
    """

    _quantization: Quantization

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        own = vars(self).get("_quantization")  # not of a slice of an nn.Sequential, which is of the same class
        with nullcontext() if own is None else own.rounding():
            return super().__call__(*args, **kwargs)  # type: ignore[misc]


def quantized(net: nn.Module, scheme: Scheme) -> nn.Module:
    """Copy of the net whose linear, convolution and attention layers round; parameters keep their names and values."""
    return quantized_in_place(copied(net), scheme)


def quantized_model(
    shape: Sequence[int],
    classes: int,
    *,
    model: Callable[..., nn.Module],
    weight_bits: int | str = 8,
    activation_bits: Bits | None = 8,
    per_channel: bool = True,
    symmetric: bool = True,
    calibration: Calibration = "min_max",
) -> nn.Module:
    """`model(shape, classes)` with quantized layers, as the model of a recipe."""
    scheme = Scheme(weight_bits, activation_bits, per_channel, symmetric, calibration)
    return quantized_in_place(built(model, shape, classes), scheme)


def layers(net: nn.Module) -> Iterator[tuple[str, Quantized]]:
    """The quantized weights of a net, by name."""
    quantization = getattr(net, "_quantization", None)
    return ((layer.name, layer) for layer in (quantization.layers if quantization else ()))


def refuse_quantized(net: nn.Module, what: str) -> None:
    """Raise UserError if the net rounds its weights: its ranges are those of all units that it has."""
    if any(layers(net)):
        raise UserError(
            f"{what} takes no net that is quantized: take the net that it was made from, and quantize after"
        )


def calibrate(net: nn.Module, batches: Iterable[Tensor]) -> None:
    """Set the weight ranges of all layers, and their input ranges from these batches (B x shape). The net runs in
    evaluation mode, with rounded weights and float32 inputs; a layer that is called in training only sees the first
    batch in training mode. A layer called twice has one range for both; one never called has none.
    """
    batches, mode = list(batches), net.training
    observing = [layer for _, layer in layers(net)]
    for layer in observing:
        layer.calibrate_weight(layer.weight)
        layer.observed = []
    try:
        with torch.no_grad(), undisturbed():
            start_host(0)
            _observe(net, batches, observing)
    finally:
        net.train(mode)
        for layer in observing:
            layer.calibrate_inputs()


def _observe(net: nn.Module, batches: Sequence[Tensor], layers: Iterable[Quantized]) -> None:
    net.eval()
    for batch in batches:
        net(batch)
    unseen = [layer for layer in layers if not layer.observed]
    if not unseen or not batches or len(batches[0]) < 2:  # batch norm can't train on a single input
        return
    seen = {layer: [*layer.observed] for layer in layers if layer.observed}
    before = {name: value.clone() for name, value in weights_of(net).items()}
    net.train()(batches[0])
    load(net, before)
    for layer, observed in seen.items():
        layer.observed = observed


def quantized_in_place(net: nn.Module, scheme: Scheme) -> nn.Module:
    """The net itself, made to round. Raises UserError if it is quantized."""
    if any(layers(net)):
        raise UserError("the net is quantized already: quantize the one that it was made from")
    quantization = Quantization(net, scheme)
    rounded = {net, *(layer.layer for layer in quantization.layers)}
    # A class with a metaclass of its own, such as TorchScript's, can't be the base of another one.
    for part in [part for part in net.modules() if type(type(part)) is type]:
        part._quantization = quantization  # type: ignore[assignment]
        name = "Quantized" * (part in rounded) + type(part).__name__
        part.__class__ = type(name, (_Rounds, type(part)), {})
    return net
