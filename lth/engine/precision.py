"""Precision of a training: the choice of the fastest, which `lth speed` measures, and what a device is told."""

import contextlib
from collections.abc import Iterator

import torch
from torch import nn

from lth import UserError
from lth.engine.graph import say_once
from lth.layer import has
from lth.recipe import Precision
from lth.store.environment import cpu_flags

BF16_FLAGS = {"amx_bf16", "avx512_bf16"}


def fastest(net: nn.Module, device: str = "auto") -> Precision:
    """Return "bf16" for a net with convolutions on hardware that multiplies bfloat16, else "fp32".

    device: as for `train`. For small linear layers the conversions cost more than bfloat16 gains.
    """
    return "bf16" if by_hardware(net) and multiplies_bf16(device) else "fp32"


def multiplies_bf16(device: str = "auto") -> bool:
    """True if the hardware is known to multiply bfloat16, which is slow elsewhere. device: as for `train`."""
    if device != "cpu" and torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(BF16_FLAGS & cpu_flags())


def by_hardware(net: nn.Module) -> bool:
    """True if the hardware decides which precision is the fastest for a net, False if it is the same everywhere."""
    return has(net, nn.Conv2d)


def exact(device: torch.device) -> torch.dtype:
    """Type to add up scores in: float64, except on MPS, which does not have it."""
    return torch.float32 if device.type == "mps" else torch.float64


@contextlib.contextmanager
def arithmetic(precision: Precision, device: str) -> Iterator[None]:
    """Let CUDA multiply float32 as float32 unless the precision is "tf32" (19 bits, in linear layers and convolutions).
    PyTorch's own default is TensorFloat-32 in convolutions alone. Raises UserError for "tf32" where there is no CUDA;
    logs once that "bf16" is slow where the hardware lacks it.
    """
    flags = torch.backends.cuda.matmul, torch.backends.cudnn
    if precision == "tf32" and (device == "cpu" or not torch.cuda.is_available()):
        raise UserError(
            f"precision=tf32 needs an NVIDIA GPU, and there is none with device={device}; use precision=fp32"
        )
    if precision == "bf16" and not multiplies_bf16(device):
        say_once("precision=bf16 is slow here, since this device is not known to have instructions for bfloat16: "
                 "precision=fp32 may be several times faster")  # fmt: skip
    before = [flag.allow_tf32 for flag in flags]
    _allow_tf32([precision == "tf32"] * 2)
    try:
        yield
    finally:
        _allow_tf32(before)


@contextlib.contextmanager
def on_processor(threads: int) -> Iterator[None]:
    """Compute with this number of threads on a CPU, whatever the process does otherwise; subnormals, which are slow
    there and no more than rounding, are 0 from here on: PyTorch can't be asked how it was before. Threads that it has
    already started still compute with them, unless it was told earlier, as `lth run` does.
    """
    before = torch.get_num_threads()
    torch.set_flush_denormal(True)
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _allow_tf32(values: list[bool]) -> None:
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = values
