"""Matrices that a quantized net leaves in float, found by looking at what is multiplied."""

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache

from torch import Tensor, nn

from lth.layer import NO_LAYER, trace
from lth.quantization.net import Quantization, quantized_in_place
from lth.quantization.scheme import Scheme
from lth.recipe import Recipe
from lth.weights import memory

UNUSED = "in evaluation it is not multiplied, alone, with what comes from the inputs"
COMPUTED = "what is multiplied is computed from it in a way that is not followed, or in two that need different scales"
INPUTS = "its weights are rounded, its inputs are not: no layer or product multiplies the two directly"


@lru_cache(maxsize=32)
def left_in_float(recipe: Recipe, scheme: Scheme) -> Mapping[str, str]:
    """Every matrix that is not rounded if the net of this recipe is quantized by a scheme -> why: prunable layers, and
    others that are multiplied or looked up. The inputs stay in float: nothing has calibrated them.
    """
    found = left(quantized_in_place(recipe.net(), replace(scheme, activation_bits=None)), recipe.data.example())
    others = recipe.layers.kinds  # those of them that this example does not use are used by others
    return {name: why for name, why in found.items() if why != UNUSED or name not in others}


def left(net: nn.Module, example: Tensor) -> dict[str, str]:
    """`left_in_float` of a quantized net. example: one input as the net sees it, 1 x shape."""
    quantization: Quantization = net._quantization  # type: ignore[assignment]
    with quantization.watched() as watch:
        seen = trace(net, example)
    names, rounded = {name for name, _ in watch.rounded}, {memory(x) for _, x in watch.rounded}
    weights = {memory(layer.weight) for layer in quantization.layers}
    reasons = dict.fromkeys(sorted(seen.others), NO_LAYER)

    def is_among(found: set[int], x: Tensor) -> bool:
        return not found.isdisjoint((memory(x), memory(seen.casts.get(memory(x), x))))

    for layer in quantization.layers:
        operands = seen.multiplied.get(layer.name, [])
        others = [x for x in operands if not is_among(rounded, x)]
        if not operands and layer.name not in names:
            reasons[layer.name] = UNUSED
        elif not operands and layer.name not in watch.inputs:
            reasons[layer.name] = INPUTS
        elif layer.name in watch.unrounded or layer.name not in names or any(is_among(weights, x) for x in others):
            reasons[layer.name] = COMPUTED
        elif others or len(operands) > watch.inputs.count(layer.name):
            reasons[layer.name] = INPUTS
    return reasons
