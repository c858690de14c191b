"""Operations of PyTorch that read weights: their operands, and their arguments taken apart and put together."""

from collections.abc import Callable, Iterable, Iterator
from types import FunctionType
from typing import Any

from torch import Tensor
from torch.nn import functional

# Operations of layers: a weight is their second operand, and the first is an input even if it is a parameter.
LAYERS = {"linear", "convolution", *(f"conv{kind}{n}d" for kind in ("", "_transpose") for n in (1, 2, 3))}
# Products -> place of the first operand, and the names of both. In all but those of layers a weight is either.
OPERANDS: dict[str, tuple[int, str, str]] = {
    **dict.fromkeys(LAYERS, (0, "input", "weight")),
    **dict.fromkeys(("matmul", "__matmul__", "__rmatmul__", "linalg_matmul", "inner"), (0, "input", "other")),
    **dict.fromkeys(("mm", "bmm"), (0, "input", "mat2")),
    **dict.fromkeys(("addbmm", "baddbmm"), (1, "batch1", "batch2")),
    "mv": (0, "input", "vec"),
    "addmm": (1, "mat1", "mat2"),
    "addmv": (1, "mat", "vec"),
    "tensordot": (0, "a", "b"),
    "einsum": (1, "", ""),
}
OPERANDS |= {f"{name}_": OPERANDS[name] for name in ("addmm", "addmv", "addbmm", "baddbmm")}
# Operations in which a weight is read, whatever its other operand is, such as an index that the net makes.
READ = LAYERS | {"embedding"}
# Operations that take of all arguments but the first the type or the shape alone.
ALIKE = {"to", "type_as", "expand_as", "view_as", "reshape_as"}
IN_PLACE = {"__setitem__", *(f"__i{name}__" for name in ("add", "sub", "mul", "truediv", "floordiv", "div", "pow"))}
# Attention asks whether a mode is on before it does anything else. This is the same code with "no" for an answer, so
# that the operations in it are seen.
ATTENTION = FunctionType(
    functional.multi_head_attention_forward.__code__,
    {**vars(functional), "has_torch_function": lambda _: False},
    argdefs=functional.multi_head_attention_forward.__defaults__,
)


def operands(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], list[int | str]]:
    """The arguments of a call, and in them the places or keywords of the two operands if it is a product of tensors,
    else none.
    """
    if name == "einsum" and len(args) == 2:
        args = (args[0], *args[1])
    if name not in OPERANDS or (name == "einsum" and not (isinstance(args[0], str) and len(args) == 3)):
        return args, []
    start, *keys = OPERANDS[name]
    slots = [start + i if start + i < len(args) else key for i, key in enumerate(keys)]
    values = [args[slot] if isinstance(slot, int) else kwargs.get(slot) for slot in slots]
    return args, slots if all(isinstance(value, Tensor) for value in values) else []


def tensors(args: Iterable[Any], kwargs: dict[str, Any]) -> Iterator[Tensor]:
    """Every tensor among the arguments, in lists too."""
    for x in (*args, *kwargs.values()):
        if isinstance(x, Tensor):
            yield x
        elif isinstance(x, list | tuple):
            yield from tensors(x, {})


def sources(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[Tensor]:
    """Every tensor whose values an operation takes."""
    return tensors(args[:1], {}) if name in ALIKE else tensors(args, kwargs)


def mapped(change: Callable[[Tensor], Tensor], x: Any) -> Any:
    """The value with every tensor in it changed."""
    if isinstance(x, Tensor):
        return change(x)
    return type(x)(mapped(change, each) for each in x) if type(x) in (list, tuple) else x


def replaced(args: tuple[Any, ...], kwargs: dict[str, Any], slot: int | str, value: Tensor) -> tuple[Any, Any]:
    """The arguments with another value at a place or keyword."""
    if isinstance(slot, int):
        return (*args[:slot], value, *args[slot + 1 :]), kwargs
    return args, {**kwargs, slot: value}


def is_constant(name: str) -> bool:
    """True if an operation takes type and device from its first argument, and no values."""
    return name.endswith("_like") or name.startswith("new_")


def in_place(name: str) -> bool:
    """True if an operation writes into its first argument."""
    return name in IN_PLACE or (name.endswith("_") and not name.endswith("__"))
