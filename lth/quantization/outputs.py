"""Axes of the outputs of a product: which axes of an operand they are, those that the product does not sum over."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from lth.quantization.operations import LAYERS

Slots = Sequence[int | str]


def output_axes(name: str, args: tuple[Any, ...], kwargs: dict[str, Any], slots: Slots) -> dict[int | str, list[int]]:
    """Place or keyword of an operand -> its axes that the outputs have too. name: the operation's. slots: of the two
    operands, as `operands` gives them. Operands whose axes are not known are left out, such as inputs of layers.
    """
    if name == "convolution" or not slots:
        return {}
    if name in LAYERS:
        return {slots[1]: [1 if "transpose" in name else 0]}
    a, b = (args[slot] if isinstance(slot, int) else kwargs[slot] for slot in slots)
    if name == "einsum":
        return dict(zip(slots, _of_equation(args[0], (a, b)), strict=True))
    if name == "tensordot":
        summed = args[2] if len(args) > 2 else kwargs.get("dims", 2)
        summed = summed.tolist() if isinstance(summed, Tensor) else summed
        return dict(zip(slots, _of_tensordot(a, b, summed), strict=True))
    if name == "__rmatmul__":
        return {slots[1]: _left(b), slots[0]: _right(a)}
    return {slots[0]: _left(a), slots[1]: _left(b) if name == "inner" else _right(b)}


def _left(a: Tensor) -> list[int]:
    """Axes of the first matrix, which is multiplied along its last axis; those of a batch are outputs too."""
    return [*range(a.ndim - 1)]


def _right(b: Tensor) -> list[int]:
    """Axes of the second matrix, which is multiplied along its last axis but one; a vector has no outputs."""
    return [axis for axis in range(b.ndim) if axis != b.ndim - 2] if b.ndim > 1 else []


def _of_equation(equation: str, operands: Sequence[Tensor]) -> list[list[int]]:
    """Axes of both operands of an einsum. Dots stand for the axes that no letter has, and are outputs."""
    inputs, arrow, outputs = equation.replace(" ", "").replace("...", ".").partition("->")
    kept = outputs if arrow else ["."] + [letter for letter in inputs if inputs.count(letter) == 1]
    return [
        [at for at, letter in enumerate(letters.replace(".", "." * (x.ndim - len(letters) + 1))) if letter in kept]
        for letters, x in zip(inputs.split(","), operands, strict=True)
    ]


def _of_tensordot(a: Tensor, b: Tensor, summed: Any) -> list[list[int]]:
    of_a, of_b = (range(a.ndim - summed, a.ndim), range(summed)) if isinstance(summed, int) else summed
    return [[axis for axis in range(x.ndim) if axis not in {at % x.ndim for at in of_x}]
            for x, of_x in ((a, of_a), (b, of_b))]  # fmt: skip
