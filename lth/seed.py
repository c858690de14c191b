"""Randomness is an argument: every random choice of the project is a pure function of a readable key."""

import hashlib

import torch


def seed(*key: int | str) -> int:
    """A 63-bit seed for a key such as `("init", replicate)`; equal keys, equal seeds, on every machine and version."""
    return int.from_bytes(hashlib.blake2b(repr(key).encode(), digest_size=8).digest(), "big") >> 1


def generator(*key: int | str) -> torch.Generator:
    """A CPU generator that starts at `seed(*key)`."""
    return torch.Generator().manual_seed(seed(*key))
