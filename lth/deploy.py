"""A trained net <-> one small file (`lth.codec`), with the name of its architecture in it."""

from collections.abc import Callable, Sequence
from typing import Any

from torch import nn

from lth import codec, model
from lth.codec import Refused
from lth.recipe import Recipe, describe
from lth.ticket import Mask, Trained, masked


def pack(trained: Trained, recipe: Recipe, bits: int | None) -> bytes:
    """m * W_T with `bits` bits for each weight that remains (None: float32, lossless), and how to build the net."""
    data = recipe.data
    description = {"model": describe(recipe.model), "shape": list(data.shape), "classes": data.classes}
    weights = masked(trained.weights, trained.ticket.mask)
    return codec.encode(weights, trained.ticket.mask, bits=bits, description=description)


def unpack(file: bytes, make: Callable[..., nn.Module] | None = None) -> tuple[nn.Module, Mask]:
    """The net, in evaluation mode, and its mask; raises Refused.

    A file can name the architectures of `lth.model` and nothing else, since it may come from anywhere; for any other
    give `make`: (shape, classes) -> net.
    """
    decoded = codec.decode(file)
    shape, classes = decoded.description.get("shape"), decoded.description.get("classes")
    if not _is_shape(shape) or type(classes) is not int or not 0 < classes < 2**20:
        raise Refused(f"the file says that images are of shape {shape!r} and of {classes!r} classes")
    try:
        net = (make or _named(decoded.description.get("model")))(tuple(shape), classes)
        net.load_state_dict(decoded.weights)
    except (RuntimeError, TypeError, ValueError) as error:
        raise Refused(f"the net that the file names can't be built, or its weights don't fit: {error}") from error
    return net.eval(), decoded.mask


def _is_shape(shape: Any) -> bool:
    return isinstance(shape, Sequence) and 0 < len(shape) < 5 and all(type(n) is int and 0 < n < 2**16 for n in shape)


def _named(described: Any) -> Callable[..., nn.Module]:
    known = {describe(getattr(model, name))["function"]: getattr(model, name) for name in model.__all__}
    name = described.get("function") if isinstance(described, dict) else None
    if name not in known:
        raise Refused(f"the file names the architecture {name!r}, which is none of lth.model: give one to unpack")
    options = {key: value for key, value in described.items() if key != "function"}
    return lambda shape, classes: known[name](shape, classes, **options)  # type: ignore[no-any-return]
