"""File formats of a trained net: ONNX in several precisions, and the small files of `lth.compress.codec`.

No file is given that was not opened and compared with the net first: its outputs, and of `lth-5` and its like, which
round weights, the mask.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import TypeVar

import torch
from torch import Tensor, nn

from lth import UserError, quantization
from lth.compress import onnx, package, plain
from lth.compress.compact import compact
from lth.compress.layouts import masked_net
from lth.compress.scaled import scaling
from lth.data import Data
from lth.engine.words import named
from lth.imp import examples, first_images
from lth.recipe import Recipe
from lth.seed import seeded
from lth.ticket import Trained, remaining, total

BITS = (5, 4)
CALIBRATION = 1000
ONNX = ("float32", "float16", "int8", "int4", "compact", "compact-int8")
NAMED = 3  # layers that a note names


@dataclass(frozen=True)
class File:
    """A net in one format.

    content: bytes of the file.
    model: the ONNX model that is measured, the file itself or an export of the net that it unpacks to; if that can't be
        exported, the net itself.
    note: layers that stay in float32, or why there is no ONNX model; "" if there is nothing to say.
    """

    content: bytes
    model: bytes | nn.Module
    note: str = ""


@dataclass(frozen=True)
class Failure:
    """The sentence that says why there is no file."""

    why: str


Writer = Callable[[], File | None]
T = TypeVar("T")


def files(trained: Trained, recipe: Recipe, bits: Iterable[int] = BITS) -> dict[str, File | Failure]:
    """Format -> file, or why there is none: ONNX in float32, float16, int8 and, where a layer supports it, int4; for
    pruned nets also float32 and int8 of the net without idle units ("compact", see `lth.compress.compact`); and the
    small files of `lth.compress.codec`, lossless ("lth") and with a number of bits a weight ("lth-5"). Raises UserError
    if there is no such format.
    """
    mask = trained.mask
    names = [*ONNX, *(_lth(k) for k in (None, *bits))]
    if remaining(mask) == total(mask):
        names = [name for name in names if not name.startswith("compact")]
    writers = _writers(trained, recipe)
    made = {name: attempt(_writer(writers, name)) for name in names}
    return {name: each for name, each in made.items() if each is not None}


def file(trained: Trained, recipe: Recipe, name: str) -> File | None:
    """The file in one format; None if no layer of the net supports it. Raises UserError."""
    made = attempt(_writer(_writers(trained, recipe), name))
    if isinstance(made, Failure):
        raise UserError(f"{name}: {made.why}", code=1)
    return made


def attempt(make: Callable[[], T]) -> T | Failure:
    """The result, or why there is none: what one file can't do is no reason to lose the others."""
    try:
        return make()
    except UserError as error:
        return Failure(str(error))
    except Exception as error:
        return Failure(named(error))


def _writer(writers: Mapping[str, Writer], name: str) -> Writer:
    if name not in writers:
        raise UserError(f"there is no format {name!r}: choose {', '.join(ONNX)}, lth, lth-1 to lth-8; lth export "
                        f"has {', '.join(plain.FORMATS)} too")  # fmt: skip
    return writers[name]


def _writers(trained: Trained, recipe: Recipe) -> dict[str, Writer]:
    """Format -> function that makes its file; models that several formats start from are exported once."""
    inputs = cache(lambda: _two_at_least(first_images(recipe, trained.ticket, CALIBRATION)))
    plain = _once(lambda: onnx.float32(masked_net(trained, recipe), inputs()))
    small = _once(lambda: onnx.float32(_compact(trained, recipe), inputs()))
    models: dict[str, Callable[[], bytes | None]] = {
        "float32": plain,
        "float16": lambda: onnx.float16(plain(), inputs()),
        "int8": lambda: onnx.int8(plain(), inputs()),
        "int4": lambda: onnx.int4(plain(), inputs()),
        "compact": small,
        "compact-int8": lambda: onnx.int8(small(), inputs()),
    }
    packed = {_lth(bits): partial(_packed, trained, recipe, bits, inputs) for bits in (None, *range(1, 9))}
    return {**{name: partial(_onnx_file, name, export, recipe.data) for name, export in models.items()}, **packed}


def _two_at_least(images: Tensor) -> Tensor:
    """The images; a single one twice, since files are verified on batches of two sizes."""
    return images if len(images) > 1 else images.repeat(2, *[1] * (images.ndim - 1))


def _lth(bits: int | None) -> str:
    return "lth" if bits is None else f"lth-{bits}"


def _once(make: Callable[[], bytes]) -> Callable[[], bytes]:
    """The function, called once; afterwards it gives the same result or raises the same error."""
    outcome = cache(lambda: attempt(make))

    def result() -> bytes:
        found = outcome()
        if isinstance(found, Failure):
            raise UserError(found.why)
        return found

    return result


def _onnx_file(name: str, export: Callable[[], bytes | None], data: Data) -> File | None:
    model = export()
    if model is None:
        return None
    content = onnx.with_metadata(model, scaling(data))
    left = onnx.in_float(content) if "int" in name else []
    more = f" and {len(left) - NAMED} more" if len(left) > NAMED else ""
    note = f"in float32: {', '.join(left[:NAMED])}{more}" if left else ""
    return File(content, content, note)


def _packed(trained: Trained, recipe: Recipe, bits: int | None, inputs: Callable[[], Tensor]) -> File:
    content = package.pack(trained, recipe, bits)
    net, mask = package.unpack(content, recipe.net())
    if any(not torch.equal(mask[name], kept) for name, kept in trained.mask.items()):
        raise UserError("the file unpacks to another mask: not written")
    if bits is None and not _same(net, masked_net(trained, recipe), inputs()[: onnx.VERIFIED]):
        raise UserError("the net that the file unpacks to gives other outputs: not written")
    model = attempt(lambda: onnx.float32(net, inputs()))
    if isinstance(model, Failure):
        return File(content, net.eval(), f"not timed, since there is no ONNX model of the net: {model.why}")
    return File(content, model)


def _same(one: nn.Module, other: nn.Module, inputs: Tensor) -> bool:
    outputs = []
    for net in (one, other):
        with torch.no_grad(), seeded("same"):
            outputs.append(net.eval()(inputs))
    return torch.equal(*outputs)


def _compact(trained: Trained, recipe: Recipe) -> nn.Module:
    quantization.refuse_quantized(recipe.net(), "compact")
    return compact(recipe.net(), trained.weights(), trained.mask, examples(recipe))
