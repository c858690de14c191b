"""File formats of a trained net: ONNX in several precisions, and the small files of `lth.compress.codec`."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache, partial

from torch import nn

from lth import UserError
from lth.compress import onnx, package
from lth.compress.compact import compact
from lth.compress.layouts import masked_net
from lth.imp import examples, first_images
from lth.recipe import Recipe
from lth.ticket import Trained, remaining, total

BITS = (5, 4)
CALIBRATION = 1000
ONNX = ("float32", "float16", "int8", "int4", "compact", "compact-int8")


@dataclass(frozen=True)
class File:
    """content: bytes of the file; model: the ONNX model that is measured, the file itself or an export of the net that
    it unpacks to.
    """

    content: bytes
    model: bytes


Writer = Callable[[], File | None]


def files(trained: Trained, recipe: Recipe, bits: Iterable[int] = BITS) -> dict[str, File]:
    """Format -> file: ONNX in float32, float16, int8 and, where a layer supports it, int4; for pruned nets also float32
    and int8 of the net without idle units ("compact", see `lth.compress.compact`); and the small files of
    `lth.compress.codec`, lossless ("lth") and with a number of bits a weight ("lth-5"). Raises UserError.
    """
    mask = trained.mask
    names = [*ONNX, *(_lth(k) for k in (None, *bits))]
    if remaining(mask) == total(mask):
        names = [name for name in names if not name.startswith("compact")]
    writers = _writers(trained, recipe)
    return {name: each for name in names if (each := _writer(writers, name)())}


def file(trained: Trained, recipe: Recipe, name: str) -> File | None:
    """The file in one format; None if no layer of the net supports it. Raises UserError."""
    return _writer(_writers(trained, recipe), name)()


def _writer(writers: Mapping[str, Writer], name: str) -> Writer:
    if name not in writers:
        raise UserError(f"there is no format {name!r}: choose {', '.join(ONNX)}, lth, or lth-1 to lth-8")
    return writers[name]


def _writers(trained: Trained, recipe: Recipe) -> dict[str, Writer]:
    """Format -> function that makes its file; models that several formats start from are exported once."""
    plain = cache(lambda: onnx.float32(masked_net(trained, recipe), recipe.data.shape))
    small = cache(lambda: onnx.float32(_compact(trained, recipe), recipe.data.shape))
    images = cache(lambda: first_images(recipe, trained.ticket, CALIBRATION))
    models: dict[str, Callable[[], bytes | None]] = {
        "float32": plain,
        "float16": lambda: onnx.float16(plain()),
        "int8": lambda: onnx.int8(plain(), images()),
        "int4": lambda: onnx.int4(plain()),
        "compact": small,
        "compact-int8": lambda: onnx.int8(small(), images()),
    }
    packed = {_lth(bits): partial(_packed, trained, recipe, bits) for bits in (None, *range(1, 9))}
    return {**{name: partial(_onnx_file, export) for name, export in models.items()}, **packed}


def _lth(bits: int | None) -> str:
    return "lth" if bits is None else f"lth-{bits}"


def _onnx_file(export: Callable[[], bytes | None]) -> File | None:
    content = export()
    return None if content is None else File(content, content)


def _packed(trained: Trained, recipe: Recipe, bits: int | None) -> File:
    content = package.pack(trained, recipe, bits)
    net, _ = package.unpack(content, recipe.model)
    return File(content, onnx.float32(net, recipe.data.shape))


def _compact(trained: Trained, recipe: Recipe) -> nn.Module:
    return compact(recipe.net(), trained.weights(), trained.mask, examples(recipe))
