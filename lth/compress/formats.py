"""A trained net -> its file in each format."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, partial

from torch import nn

from lth import UserError
from lth.compress import onnx, package
from lth.compress.compact import compact
from lth.imp import first_images
from lth.recipe import Recipe
from lth.ticket import Trained, masked

BITS = (5, 4)
CALIBRATION = 1000
ONNX = ("float32", "float16", "int8", "int4", "compact", "compact-int8")


@dataclass(frozen=True)
class File:
    """content: the bytes of the file; onnx: what ONNX Runtime runs of it, the file itself or what it unpacks to."""

    content: bytes
    onnx: bytes


def files(trained: Trained, recipe: Recipe, bits: Iterable[int] = BITS) -> dict[str, File]:
    """Format -> file: ONNX in float32, float16, int8 and, where a layer has it, int4; of tickets also the float32 and
    int8 of the net without idle units ("compact", see `lth.compress.compact`); and the small files of
    `lth.compress.codec`, lossless ("lth") and with a number of bits a weight ("lth-5").
    """
    idle = not all(kept.all() for kept in trained.mask.values())
    names = [name for name in (*ONNX, *(_lth(k) for k in (None, *bits))) if idle or not name.startswith("compact")]
    makers = _makers(trained, recipe)
    return {name: made for name in names if (made := makers[name]())}


def file(trained: Trained, recipe: Recipe, name: str) -> File | None:
    """One of `files`; None where no layer of the net has it. Raises UserError."""
    makers = _makers(trained, recipe)
    if name not in makers:
        raise UserError(f"there is no format {name!r}: choose {', '.join(ONNX)}, lth, or lth-1 to lth-8")
    return makers[name]()


def _makers(trained: Trained, recipe: Recipe) -> dict[str, Callable[[], File | None]]:
    """Format -> what makes its file; what several are made from is made once, when it is needed."""
    plain = cache(lambda: onnx.float32(masked_net(trained, recipe), recipe.data.shape))
    small = cache(lambda: onnx.float32(_compact(trained, recipe), recipe.data.shape))
    images = cache(lambda: first_images(recipe, trained.ticket, CALIBRATION))
    plain_makers: dict[str, Callable[[], bytes | None]] = {
        "float32": plain,
        "float16": lambda: onnx.float16(plain()),
        "int8": lambda: onnx.int8(plain(), images()),
        "int4": lambda: onnx.int4(plain()),
        "compact": small,
        "compact-int8": lambda: onnx.int8(small(), images()),
    }
    packed = {_lth(bits): partial(_packed, trained, recipe, bits) for bits in (None, *range(1, 9))}
    return {**{name: partial(_runnable, make) for name, make in plain_makers.items()}, **packed}


def _lth(bits: int | None) -> str:
    return "lth" if bits is None else f"lth-{bits}"


def _runnable(make: Callable[[], bytes | None]) -> File | None:
    content = make()
    return None if content is None else File(content, content)


def _packed(trained: Trained, recipe: Recipe, bits: int | None) -> File:
    content = package.pack(trained, recipe, bits)
    net, _ = package.unpack(content, recipe.model)
    return File(content, onnx.float32(net, recipe.data.shape))


def masked_net(trained: Trained, recipe: Recipe) -> nn.Module:
    """f(x; m * W_T)."""
    net = recipe.net()
    net.load_state_dict(masked(trained.weights(), trained.mask))
    return net


def _compact(trained: Trained, recipe: Recipe) -> nn.Module:
    return compact(recipe.net(), trained.weights(), trained.mask, recipe.data.shape)
