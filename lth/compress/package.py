"""A trained net <-> one small file (`lth.compress.codec`) that also names its architecture."""

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from torch import nn

from lth import UserError, model, quantization
from lth.compress import codec
from lth.compress.build import built, check, size
from lth.compress.codec import Refused
from lth.recipe import Recipe
from lth.seed import undisturbed
from lth.store.digest import describe
from lth.ticket import Mask, Trained, masked
from lth.weights import load

# Characters of the description as JSON; bounds the number of layers that an untrusted file can ask for.
MAX_DESCRIPTION = 2**12

Architecture = Callable[..., nn.Module]


def pack(trained: Trained, recipe: Recipe, bits: int | None) -> bytes:
    """m * W_T with `bits` bits for each remaining weight (None: float32, lossless), and how to build the net.

    A net of `lth.quantization` rounds its weights itself, so only bits=None is valid for it; unpack it with its
    `recipe.model`. Raises UserError.
    """
    if bits is not None and any(quantization.layers(recipe.net())):
        raise UserError(f"bits={bits}: the net is quantized already; pack it with bits=None")
    data = recipe.data
    description = {"model": describe(recipe.model), "shape": list(data.shape), "classes": data.outputs}
    weights = masked(trained.weights(), trained.mask)
    try:
        return codec.encode(weights, trained.mask, bits=bits, description=description)
    except ValueError as error:  # too large, or of a type that the format does not have
        raise UserError(f"this net can't be packed into a .lth file: {error}; export it as float32") from error


def unpack(file: bytes, net: nn.Module | Architecture | None = None) -> tuple[nn.Module, Mask]:
    """The net, in evaluation mode, and its mask; raises Refused.

    Files are untrusted, so a file can name the architectures of `lth.model` and nothing else. For any other, and for a
    large net of which few weights remain, give the net, whose tensors are overwritten, or a function that builds it:
    (shape, classes) -> net. The file may then have as many values as that net. A function builds the net that the file
    asks for; of a file that you don't trust, give the net itself.
    """
    contents = codec.decode(file, partial(_size, net))
    try:
        with undisturbed():
            found = _net(net, contents)
        load(found, contents.weights)
    except Refused:
        raise
    except Exception as error:  # an architecture may raise anything when its options are invalid
        raise Refused(f"the architecture named in the file can't be built: {error}") from error
    return found.eval(), contents.mask


def _size(net: nn.Module | Architecture | None, description: Mapping[str, Any]) -> int:
    """Number of values of the net that the caller gave; 0 if none was given, or its size can't be known beforehand."""
    if net is None:
        return 0
    if isinstance(net, nn.Module):
        return size(net)
    shape, classes, _ = _described(description)
    return size(partial(net, shape, classes))


def _net(net: nn.Module | Architecture | None, contents: codec.Contents) -> nn.Module:
    """The given net, or else the one that the file describes, with tensors as the file has them."""
    if isinstance(net, nn.Module):
        check(net, contents.weights)
        return net
    shape, classes, named = _described(contents.description)
    return built(partial(net or _public(named), shape, classes), contents.weights)


def _described(description: Any) -> tuple[tuple[int, ...], int, Any]:
    """Image shape, number of classes and (unchecked) model of a description."""
    if len(json.dumps(dict(description))) > MAX_DESCRIPTION:
        raise Refused(f"the description is longer than {MAX_DESCRIPTION} characters")
    shape, classes = description.get("shape"), description.get("classes")
    if not isinstance(shape, list) or not all(type(n) is int and 0 < n < 2**16 for n in [*shape, classes]):
        raise Refused(f"invalid image shape {shape!r} or number of classes {classes!r}")
    return tuple(shape), classes, description.get("model")


def _public(described: Any) -> Architecture:
    """The architecture of `lth.model` with these options bound."""
    public = {f"model.{name}": getattr(model, name) for name in model.__all__}
    # Version 0.1 wrote import paths.
    known = public | {f"{make.__module__}.{make.__qualname__}": make for make in public.values()}
    options = dict(described) if isinstance(described, dict) else {}
    name = str(options.pop("function", None))
    if name not in known:
        raise Refused(f"the architecture {name} is not one of lth.model: pass it to unpack")

    def build(shape: tuple[int, ...], classes: int) -> nn.Module:
        net: nn.Module = known[name](shape, classes, **options)
        return net

    return build
