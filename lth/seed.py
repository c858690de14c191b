"""Seeds and generators from readable keys: every random choice of the project is a pure function of its key."""

import hashlib

import torch


def seed(*key: int | str) -> int:
    """63-bit seed for a key such as `("init", replicate)`; the same on every machine and version."""
    return int.from_bytes(hashlib.blake2b(repr(key).encode(), digest_size=8).digest(), "big") >> 1


def generator(*key: int | str) -> torch.Generator:
    """CPU generator seeded with `seed(*key)`."""
    return torch.Generator().manual_seed(seed(*key))
