"""A trained net <-> one small file (`lth.compress.codec`), with the name of its architecture in it."""

import json
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from lth import model, quantization
from lth.compress import codec
from lth.compress.codec import Refused
from lth.recipe import Recipe
from lth.store.digest import describe
from lth.ticket import Mask, Trained, masked

# Of the description, as JSON: an architecture of a million layers fits into no such text.
MOST_TEXT = 2**12


def pack(trained: Trained, recipe: Recipe, bits: int | None) -> bytes:
    """m * W_T with `bits` bits for each weight that remains (None: float32, lossless), and how to build the net.

    Of a net of `lth.quantization`, W_T is what the net rounds itself, so that it can be packed with None alone; unpack
    it with its `recipe.model`. Raises ValueError.
    """
    if bits is not None and any(quantization.layers(recipe.net())):
        raise ValueError(f"bits={bits}: the net rounds its weights itself, and would do it again; pack it with None")
    data = recipe.data
    description = {"model": describe(recipe.model), "shape": list(data.shape), "classes": data.classes}
    weights = masked(trained.weights(), trained.mask)
    return codec.encode(weights, trained.mask, bits=bits, description=description)


def unpack(file: bytes, make: Callable[..., nn.Module] | None = None) -> tuple[nn.Module, Mask]:
    """The net, in evaluation mode, and its mask; raises Refused.

    A file can name the architectures of `lth.model` and nothing else, since it may come from anywhere; for any other
    give `make`: (shape, classes) -> net.
    """
    decoded = codec.decode(file)
    said = dict(decoded.description)
    if len(json.dumps(said)) > MOST_TEXT:
        raise Refused(f"what the file says of its net is longer than {MOST_TEXT} characters")
    shape, classes = said.get("shape"), said.get("classes")
    if not isinstance(shape, list) or not all(type(n) is int and 0 < n < 2**16 for n in [*shape, classes]):
        raise Refused(f"the file says that images are of shape {shape!r} and of {classes!r} classes")
    build = make or _named(said.get("model"))
    wanted = {name: weight.shape for name, weight in decoded.weights.items()}
    try:
        with torch.device("meta"):  # takes no memory, however large a net the file names
            shapes = {name: weight.shape for name, weight in build(tuple(shape), classes).state_dict().items()}
        if shapes != wanted:
            raise Refused("the tensors of the file are not those of its net")
        with torch.random.fork_rng(devices=[]):
            net = build(tuple(shape), classes)
        net.load_state_dict(decoded.weights)
    except Refused:
        raise
    except Exception as error:  # whatever an architecture raises when its options are nonsense
        raise Refused(f"the net that the file names can't be built: {error}") from error
    return net.eval(), decoded.mask


def _named(described: Any) -> Callable[..., nn.Module]:
    public = {f"model.{name}": getattr(model, name) for name in model.__all__}
    # Version 0.1 wrote import paths.
    known = public | {f"{make.__module__}.{make.__qualname__}": make for make in public.values()}
    options = dict(described) if isinstance(described, dict) else {}
    name = str(options.pop("function", None))
    if name not in known:
        raise Refused(f"the file names the architecture {name}, which is none of lth.model: give one to unpack")

    def build(shape: tuple[int, ...], classes: int) -> nn.Module:
        net: nn.Module = known[name](shape, classes, **options)
        return net

    return build
