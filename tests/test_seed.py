"""Randomness as a function of a readable key."""

import hashlib

import torch
from hypothesis import given
from hypothesis import strategies as st
from small import many

from lth.seed import generator, seed


def test_a_seed_is_the_upper_63_bits_of_the_hash_of_its_key_on_every_machine() -> None:
    bits = bin(int(hashlib.blake2b(b"('init', 1)", digest_size=8).hexdigest(), 16))[2:].zfill(64)
    assert seed("init", 1) == int(bits[:63], 2)


@many
@given(st.lists(st.integers() | st.text(max_size=5), min_size=1, max_size=3))
def test_a_seed_fits_what_numpy_and_torch_take(key: list[int | str]) -> None:
    assert 0 <= seed(*key) < 2**63


def test_keys_that_differ_in_any_part_or_type_give_different_seeds() -> None:
    keys: list[tuple[int | str, ...]] = [
        ("order", 1, 2),
        ("order", 1, 3),
        ("order", 2, 2),
        ("init", 1, 2),
        ("order", 12),
    ]
    assert len({seed(*key) for key in [*keys, ("order", "1", 2)]}) == 6


def test_a_generator_starts_anew_every_time_and_leaves_the_global_one_alone() -> None:
    before = torch.get_rng_state()
    assert torch.equal(torch.rand(5, generator=generator("a", 1)), torch.rand(5, generator=generator("a", 1)))
    assert torch.equal(torch.get_rng_state(), before)
