"""Seeds and generators from readable keys: every random choice of the project is a pure function of its key."""

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

GOLDEN = 0x9E3779B1 - 2**32  # odd, so that no two places of a tensor have the same number before they are mixed


def seed(*key: int | str) -> int:
    """63-bit seed for a key such as `("init", replicate)`; the same on every machine and version."""
    return int.from_bytes(hashlib.blake2b(repr(key).encode(), digest_size=8).digest(), "big") >> 1


def generator(*key: int | str) -> torch.Generator:
    """CPU generator seeded with `seed(*key)`."""
    return torch.Generator().manual_seed(seed(*key))


@contextmanager
def undisturbed(*devices: int) -> Iterator[None]:
    """Put the generators of Python, NumPy and PyTorch (the CPU's, and those of the given GPUs) back afterwards:
    functions of the user's own may draw from them.
    """
    pythons, numpys = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=devices):
        try:
            yield
        finally:
            random.setstate(pythons)
            np.random.set_state(numpys)


def start_host(number: int) -> None:
    """Seed the generators of Python, NumPy and PyTorch (the CPU's)."""
    random.seed(number)
    np.random.seed(number % 2**32)
    torch.default_generator.manual_seed(number)


def start_all(number: int) -> None:
    """Seed the generators of Python, NumPy and PyTorch, on all devices."""
    torch.manual_seed(number)
    start_host(number)


@contextmanager
def seeded(*key: int | str) -> Iterator[None]:
    """Seed the generators of Python, NumPy and PyTorch (the CPU's) by a key, and put them back afterwards."""
    with undisturbed():
        start_host(seed(*key))
        yield


def uniform(key: Tensor, step: Tensor, like: Tensor) -> Tensor:
    """Numbers on [0, 1), multiples of 2^-24, as a hash of (key, step, place): the same on every device, also in a CUDA
    graph and under `torch.func.vmap`, where no generator is. key, step: int64, of which 32 bits count. like: gives
    shape, type (float32 or float64) and device.
    """
    start = _mixed((_mixed(key.int()) + step).int())
    places = torch.arange(like.numel(), dtype=torch.int32, device=like.device)
    return ((_mixed(places * GOLDEN + start) >> 8).to(like.dtype) * 2.0**-24 + 0.5).view(like.shape)


def _mixed(x: Tensor) -> Tensor:
    """32 bits mixed by "lowbias32" (C. Wellons, Hash Function Prospector): every bit depends on all. int32 -> int32."""
    x = (x >> 16).bitwise_and_(0xFFFF).bitwise_xor_(x).mul_(0x7FEB352D)
    x = (x >> 15).bitwise_and_(0x1FFFF).bitwise_xor_(x).mul_(0x846CA68B - 2**32)
    return (x >> 16).bitwise_and_(0xFFFF).bitwise_xor_(x)
