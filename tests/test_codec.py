"""Small files: lossless round trips, a pinned format, and invalid files refused in bounded time and memory."""

import hashlib
import json
import math
import resource
import struct
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from approximated import approximate
from hypothesis import given
from hypothesis import strategies as st
from small import half_pruned, many, recipe, same
from torch import Tensor

from lth.compress import codec
from lth.compress.codec import Refused, rans
from lth.compress.codec.codebook import cluster
from lth.compress.codec.header import MAX_HEADER, MAX_TENSORS, Entry, Header, serialize
from lth.compress.codec.tensor import decode_positions, encode_positions

every_bits = st.none() | st.integers(1, 8)
TICKET = half_pruned(recipe())


def random_tensors(seed: int, shape: tuple[int, ...], density: float) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """(weights, mask): a pruned tensor, a bias, a counter, and a pruned tensor of nothing."""
    random = torch.Generator().manual_seed(seed)
    weights = {
        "a.weight": torch.randn(shape, generator=random),
        "a.bias": torch.randn(shape[:1], generator=random),
        "norm.num_batches_tracked": torch.tensor(2**40 + seed),
        "b.weight": torch.randn(0, 3),
    }
    mask = {"a.weight": torch.rand(shape, generator=random) < density, "b.weight": torch.ones(0, 3, dtype=torch.bool)}
    return weights, mask


# ---- round trips


@many
@given(
    st.integers(0, 2**20),
    st.lists(st.integers(1, 12), min_size=1, max_size=4).map(tuple),
    st.sampled_from([0.0, 0.01, 0.3, 1.0]),
    every_bits,
)
def test_decoding_inverts_encoding_to_the_last_bit(
    seed: int, shape: tuple[int, ...], density: float, bits: int | None
) -> None:
    weights, mask = random_tensors(seed, shape, density)
    decoded = codec.decode(codec.encode(weights, mask, bits=bits, description={"note": [1, "ü", None]}))
    assert same(decoded.weights, approximate(weights, mask, bits=bits))
    assert same(decoded.mask, mask)
    assert {name: w.dtype for name, w in decoded.weights.items()} == {name: w.dtype for name, w in weights.items()}
    assert (decoded.bits, decoded.description) == (bits, {"note": [1, "ü", None]})
    assert (decoded.weights["a.weight"][~mask["a.weight"]] == 0).all()


def test_without_bits_nothing_is_lost() -> None:
    weights, mask = random_tensors(1, (9, 20), 0.4)
    odd = [-0.0, math.inf, math.nan, 1e-45, 3e38]
    weights["a.weight"].view(-1)[mask["a.weight"].view(-1).nonzero()[:5, 0]] = torch.tensor(odd)
    decoded = codec.decode(codec.encode(weights, mask, bits=None)).weights
    kept = mask["a.weight"]
    assert decoded["a.weight"][kept].numpy().tobytes() == weights["a.weight"][kept].numpy().tobytes()
    assert torch.equal(decoded["a.bias"], weights["a.bias"])


@pytest.mark.parametrize("bits", [1, 4, 8])
def test_a_tensor_with_at_most_2_to_the_bits_values_is_lossless(bits: int) -> None:
    values = torch.linspace(-1, 1.3, 2**bits)  # float16 holds few of them
    weights = {"w": values[torch.randint(2**bits, (20, 30), generator=torch.Generator().manual_seed(0))]}
    mask = {"w": torch.rand(20, 30, generator=torch.Generator().manual_seed(1)) < 0.5}
    decoded = codec.decode(codec.encode(weights, mask, bits=bits)).weights
    assert torch.equal(decoded["w"], weights["w"] * mask["w"])


def test_other_tensors_are_float16_unless_that_overflows_or_underflows() -> None:
    weights = {"fits": torch.tensor([0.1, 2.0]), "large": torch.tensor([1e6]), "tiny": torch.tensor([1e-9, 1.0])}
    decoded = codec.decode(codec.encode(weights, {}, bits=4)).weights
    assert decoded["fits"].tolist() == [np.float16(0.1), 2.0]
    assert torch.equal(decoded["large"], weights["large"])
    assert torch.equal(decoded["tiny"], weights["tiny"])


def test_memory_format_and_float_type_do_not_matter() -> None:
    weight = torch.randn(4, 3, 3, 3, generator=torch.Generator().manual_seed(0)).bfloat16()
    mask = {"w": weight > 0}
    file = codec.encode({"w": weight}, mask, bits=3)
    assert file == codec.encode({"w": weight.float().to(memory_format=torch.channels_last)}, mask, bits=3)


def test_weights_and_mask_are_only_read() -> None:
    weights, mask = random_tensors(0, (5, 6), 0.5)
    before = {name: w.clone() for name, w in weights.items()}
    codec.encode(weights, mask, bits=2)
    assert same(weights, before)


INVALID: list[tuple[dict[str, Tensor], dict[str, Tensor], int | None, Any, str]] = [
    ({"w": torch.ones(2)}, {"v": torch.ones(2, dtype=torch.bool)}, 4, {}, "the mask has no weight named v"),
    ({"w": torch.ones(2, dtype=torch.float64)}, {"w": torch.tensor([True, False])}, None, {}, "w is torch.float64"),
    ({"w": torch.tensor([1.0, math.nan])}, {"w": torch.ones(2, dtype=torch.bool)}, 4, {}, "not finite"),
    ({"w": torch.ones(2)}, {"w": torch.ones(2, dtype=torch.bool)}, 9, {}, "bits=9"),
    ({}, {}, None, {"a": math.nan}, "JSON"),
]


@pytest.mark.parametrize(("weights", "mask", "bits", "description", "message"), INVALID)
def test_tensors_that_the_format_cannot_represent_are_an_error(
    weights: dict[str, Tensor], mask: dict[str, Tensor], bits: int | None, description: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        codec.encode(weights, mask, bits=bits, description=description)


# ---- the format


def test_version_1_is_pinned_byte_by_byte() -> None:
    weights = {"w": torch.tensor([[0.5, 9.0, 0.0], [-1.0, 0.5, 0.5]]), "b": torch.tensor([1.0, -2.0])}
    mask = {"w": torch.tensor([[True, False, False], [True, True, True]])}
    file = codec.encode(weights, mask, bits=1, description={"by": "hand"})
    head = (
        b'{"bits":1,"description":{"by":"hand"},"tensors":['
        b'{"bytes":[4],"coding":"float16","kept":null,"name":"b","shape":[2]},'
        b'{"bytes":[9,1,15],"coding":"kept","kept":4,"name":"w","shape":[2,3]}]}'
    )
    length = struct.unpack("<I", file[6:10])[0]
    assert file[:6] == b"LTHC\x01\x00"
    assert zlib.decompress(file[10 : 10 + length]) == head
    # Gaps 1, 3, 1, 1: 0, 1, 0, 0 digits behind the first, those of 3 being 1. Frequencies 12288, 4096 of 16384.
    # Backwards from x = 65536, by x -> (x div f) 16384 + x mod f + c: 0 -> 5 * 16384 + 4096 = 86016,
    # 0 -> 7 * 16384 + 0 = 114688, 1 -> 28 * 16384 + 0 + 12288 = 471040, 0 -> 38 * 16384 + 4096 = 626688.
    gaps = b"\x01" + b"\x80\x60" + b"\x80\x20" + (626688).to_bytes(4, "little") + b"\x80"
    # Values 0.5, -1, 0.5, 0.5: codebook -1, 0.5 in float16; indices 1, 0, 1, 1 with frequencies 4096, 12288.
    # 1 -> 5 * 16384 + 4096 + 4096 = 90112, 1 -> 7 * 16384 + 4096 + 4096 = 122880, 0 -> 30 * 16384 + 0 = 491520,
    # 1 -> 40 * 16384 + 0 + 4096 = 659456.
    values = b"\x02\x80" + b"\x00\xbc\x00\x38" + b"\x01\x80\x20\x80\x60" + (659456).to_bytes(4, "little")
    assert file[10 + length : -32] == b"\x00\x3c\x00\xc0" + gaps + values
    assert file[-32:] == hashlib.sha256(file[:-32]).digest()


def test_a_ticket_takes_little_more_than_its_entropy() -> None:
    random = torch.Generator().manual_seed(0)
    weight, kept = torch.randn(300, 784, generator=random), torch.rand(300, 784, generator=random) < 0.03
    file = codec.encode({"w": weight}, {"w": kept}, bits=4)
    p = kept.double().mean().item()
    share = np.bincount(cluster(weight[kept].numpy(), 4)[1]) / int(kept.sum())
    bound = -kept.numel() * (p * math.log2(p) + (1 - p) * math.log2(1 - p))
    bound -= float(kept.sum() * (share * np.log2(share)).sum())
    assert bound / 8 < len(file) < 1.02 * bound / 8 + 200  # of which the header and the checksum are 150


# ---- entropy coding


@many
@given(st.lists(st.integers(0, 255), max_size=300))
def test_any_symbols_round_trip(symbols: list[int]) -> None:
    coded = rans.encode(np.array(symbols, dtype=np.int64))
    assert rans.decode(coded, len(symbols)).tolist() == symbols


@pytest.mark.parametrize("count", [1, 1023, 1024, 2047, 2048, 2051, 1024 * 256 + 5])
def test_symbols_round_trip_with_any_number_of_lanes(count: int) -> None:
    symbols = np.random.default_rng(count).geometric(0.4, count).clip(max=40)
    assert np.array_equal(rans.decode(rans.encode(symbols), count), symbols)


@pytest.mark.parametrize("p", [0.02, 0.3, 0.9])
def test_a_stream_is_as_long_as_its_entropy(p: float) -> None:
    symbols = np.random.default_rng(1).geometric(p, 100_000).clip(max=255)
    share = np.bincount(symbols) / len(symbols)
    share = share[share > 0]
    entropy = -(share * np.log2(share)).sum() * len(symbols) / 8
    assert entropy < len(rans.encode(symbols)) < 1.02 * entropy + 400  # the alphabet is part of it


@many
@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=256).filter(any))
def test_frequencies_add_up_and_are_positive_for_every_symbol_that_occurs(counts: list[int]) -> None:
    found = rans.frequencies(np.array(counts))
    assert found.sum() == 2**14
    assert all((f > 0) == (c > 0) for f, c in zip(found, counts, strict=True))


def test_one_symbol_alone_costs_three_bytes_however_often() -> None:
    assert rans.encode(np.zeros(10**6, dtype=np.uint8)) == b"\x00\x80\x80"
    assert rans.decode(b"\x00\x80\x80", 3).tolist() == [0, 0, 0]


def test_a_stream_with_any_byte_behind_its_alphabet_changed_or_missing_is_refused() -> None:
    symbols = np.random.default_rng(0).integers(0, 3, 400)
    coded = rans.encode(symbols)
    for at in range(7, len(coded)):
        with pytest.raises(Refused):
            rans.decode(coded[:at] + bytes([coded[at] ^ 1]) + coded[at + 1 :], 400)
    for other in (coded[:-2], coded[:-1], coded + b"\0", coded + b"\0\0"):
        with pytest.raises(Refused):
            rans.decode(other, 400)


def test_a_position_out_of_range_is_named() -> None:
    classes, rest = encode_positions(np.array([False, False, True]))
    with pytest.raises(Refused, match="mask position out of range"):
        [*decode_positions(classes, rest, 1, 2)]


def test_positions_of_more_than_a_chunk_round_trip(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = np.random.default_rng(0).random(5000) < np.linspace(0.001, 1, 5000)
    for rows in (1, 7, 8, 1000, 2**18):
        monkeypatch.setattr(rans, "ROWS", rows)
        found = [*decode_positions(*encode_positions(kept), int(kept.sum()), 5000)]
        assert (np.concatenate(found) == np.flatnonzero(kept)).all()


@many
@given(st.sets(st.integers(0, 5000), max_size=60))
def test_any_positions_round_trip(positions: set[int]) -> None:
    kept = np.zeros(5001, dtype=bool)
    kept[sorted(positions)] = True
    parts = decode_positions(*encode_positions(kept), len(positions), 5001)
    assert [place for part in parts for place in part.tolist()] == sorted(positions)


def test_the_widest_gap_is_read_wherever_its_digits_begin() -> None:
    for before in range(8):  # digits of the gaps before it
        positions = np.cumsum([*[2] * before, 2**28 - 2**5])  # gaps of one digit each
        digits = np.floor(np.log2(np.diff(positions, prepend=0))).astype(int)
        bits = "0" * before + f"{2**28 - 2**5 - 2**27:027b}"
        rest = int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")
        (found,) = decode_positions(rans.encode(digits), rest, len(digits), 2**28)
        assert found.tolist() == (positions - 1).tolist()


@pytest.mark.parametrize("lanes", [1, 3, 63, 64])
def test_one_by_one_and_side_by_side_decode_the_same(monkeypatch: pytest.MonkeyPatch, lanes: int) -> None:
    count = 1024 * lanes + 5
    symbols = np.random.default_rng(lanes).geometric(0.4, count).clip(max=40)
    coded = rans.encode(symbols)
    for few in (0, 1000):
        monkeypatch.setattr(rans, "FEW", few)
        assert np.array_equal(rans.decode(coded, count), symbols)
        with pytest.raises(Refused, match="truncated stream"):
            rans.decode(coded[: len(coded) - len(coded) // 4 * 2], count)


# ---- codebooks


def test_the_codebook_of_two_clusters_is_their_means() -> None:
    values = np.array([-1.25, -1.0, -0.75, 2.0, 2.5], dtype=np.float32)
    codebook, index = cluster(values, 1)
    assert codebook.tolist() == [-1.0, 2.25]
    assert index.tolist() == [0, 0, 0, 1, 1]


def test_one_outlier_leaves_every_entry_of_the_codebook_in_use() -> None:
    entries, places = cluster(np.array([0, 1, 2, 3, 1000], np.float32), bits=2)
    assert entries.tolist() == [0, 1, 2.5, 1000]
    assert places.tolist() == [0, 1, 2, 2, 3]
    normal = np.random.default_rng(0).normal(0, 1, 9999).astype(np.float32)
    for outlier in (30, -3000, -1e30):
        values = np.append(normal, np.float32(outlier))
        entries, places = cluster(values, bits=8)
        assert len(entries) == 256
        assert np.sqrt(np.mean((entries[places] - values) ** 2)) < 0.01  # a uniform grid over -4 to 4 has 0.009


@many
@given(st.lists(st.floats(-(2.0**100), 2.0**100, width=32), min_size=1, max_size=60), st.integers(1, 8))
def test_every_value_gets_the_nearest_of_at_most_2_to_the_bits_entries(values: list[float], bits: int) -> None:
    array = np.array(values, dtype=np.float32)
    codebook, index = cluster(array, bits)
    assert len(codebook) <= 2**bits
    assert codebook.dtype == np.float32
    distance = np.abs(array.astype(float)[:, None] - codebook.astype(float))
    assert np.array_equal(distance[np.arange(len(array)), index], distance.min(axis=1))


# ---- invalid files


def refused(data: bytes) -> bool:
    """True if decoding raises Refused; any other exception is not caught."""
    try:
        codec.decode(data)
    except Refused:
        return True
    return False


def tiny_file() -> bytes:
    weights = {name: weight for name, weight in TICKET.weights.items() if name.startswith("5.")}
    return codec.encode(weights, {"5.weight": TICKET.mask["5.weight"]}, bits=2, description={"a": 1})


def sealed(body: bytes) -> bytes:
    return body + hashlib.sha256(body).digest()


def with_header(header: bytes, payload: bytes = b"") -> bytes:
    packed = zlib.compress(header, 9)
    return sealed(b"LTHC" + struct.pack("<HI", 1, len(packed)) + packed + payload)


def written(header: Any, payload: bytes = b"") -> bytes:
    return with_header(json.dumps(header, sort_keys=True, separators=(",", ":")).encode(), payload)


def taken_apart(file: bytes) -> tuple[Any, bytes]:
    length = struct.unpack("<I", file[6:10])[0]
    return json.loads(zlib.decompress(file[10 : 10 + length])), file[10 + length : -32]


def header_of(**entry: Any) -> dict[str, Any]:
    usual = {"name": "w", "shape": [2], "coding": "float32", "kept": None, "bytes": [8]}
    return {"bits": 4, "description": {}, "tensors": [{**usual, **entry}]}


def test_the_helpers_of_this_file_craft_valid_files() -> None:
    assert not refused(written(header_of(), b"\0" * 8))
    assert not refused(written(*taken_apart(tiny_file())))


def test_a_changed_byte_is_a_checksum_mismatch() -> None:
    with pytest.raises(Refused, match="invalid file: checksum mismatch: the file is corrupt or truncated"):
        codec.decode(tiny_file()[:-1] + bytes([tiny_file()[-1] ^ 1]))


def test_every_flipped_bit_is_found() -> None:
    file = tiny_file()
    for at in range(len(file)):
        for bit in (1, 16, 255):
            assert refused(file[:at] + bytes([file[at] ^ bit]) + file[at + 1 :])


def test_truncated_and_extended_files_are_refused() -> None:
    file = tiny_file()
    assert all(refused(file[:end]) for end in range(len(file)))
    assert refused(file + b"\0")
    assert refused(b"\0" + file)


@many
@given(st.binary(max_size=200))
def test_any_other_bytes_are_refused(data: bytes) -> None:
    assert refused(data)
    assert refused(b"LTHC" + data)
    assert refused(sealed(b"LTHC\x01\x00" + data))
    assert refused(with_header(data))


@many
@given(st.binary(min_size=1, max_size=8), st.integers(0, 10**6), st.booleans())
def test_a_corrupt_payload_under_a_valid_checksum_is_refused_or_read(new: bytes, at: int, insert: bool) -> None:
    header, payload = taken_apart(tiny_file())
    at %= len(payload)
    changed = payload[:at] + new + payload[at if insert else at + len(new) :]
    assert refused(written(header, changed)) or len(changed) == len(payload)


junk = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 2**70) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@many
@given(st.sampled_from(["name", "shape", "coding", "kept", "bytes"]), junk, st.sampled_from(["kept", "int64", "x"]))
def test_an_entry_of_anything_under_a_valid_checksum_is_refused_or_read(key: str, value: Any, coding: str) -> None:
    usual = {"coding": coding, "kept": 1 if coding == "kept" else None}
    refused(written(header_of(**{**usual, key: value}), b"\0" * 8))
    header, payload = taken_apart(tiny_file())
    header["tensors"][0][key] = value
    refused(written(header, payload))


@many
@given(st.sampled_from(["bits", "description", "tensors"]), junk)
def test_a_header_of_anything_under_a_valid_checksum_is_refused_or_read(key: str, value: Any) -> None:
    header, payload = taken_apart(tiny_file())
    refused(written({**header, key: value}, payload))
    refused(written(value, payload))


HEADERS: dict[str, bytes] = {
    "nested deeply": b"[" * 500_000,
    "nested deeply in a description": b'{"bits":4,"description":{"a":' + b"[" * 9000 + b"]" * 9000 + b'},"tensors":[]}',
    "a number of a million digits": b'{"bits":' + b"1" * 1_000_000 + b',"description":{},"tensors":[]}',
    "not a number": b'{"bits":NaN,"description":{},"tensors":[]}',
    "NaN in the description": b'{"bits":4,"description":{"a":NaN},"tensors":[]}',
    "infinity in the description": b'{"bits":4,"description":{"a":1e999},"tensors":[]}',
    "the same key twice": b'{"bits":4,"bits":4,"description":{},"tensors":[]}',
    "spaces": b'{"bits": 4,"description":{},"tensors":[]}',
    "no UTF-8": b'{"bits":4,"description":{"a":"\xff"},"tensors":[]}',
    "true for a number": b'{"bits":true,"description":{},"tensors":[]}',
    "too long": b'{"bits":4,"description":{"a":"' + b"a" * MAX_HEADER + b'"},"tensors":[]}',
    "an unknown key": b'{"bits":4,"description":{},"signature":"","tensors":[]}',
    "no tensors": b'{"bits":4,"description":{}}',
    "tensors by name": b'{"bits":4,"description":{},"tensors":{"w":1}}',
    "empty": b"",
}  # fmt: skip


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_a_header_that_the_program_would_not_write_is_refused(header: bytes) -> None:
    assert refused(with_header(header))


def test_a_header_that_is_extended_or_truncated_is_refused() -> None:
    packed = zlib.compress(b'{"bits":4,"description":{},"tensors":[]}', 9)
    assert not refused(sealed(b"LTHC" + struct.pack("<HI", 1, len(packed)) + packed))
    assert refused(sealed(b"LTHC" + struct.pack("<HI", 1, len(packed) + 1) + packed + b"\0"))
    assert refused(sealed(b"LTHC" + struct.pack("<HI", 1, len(packed) - 1) + packed[:-1]))
    assert refused(sealed(b"LTHC" + struct.pack("<HI", 1, 2**32 - 1) + packed))


def test_an_unknown_key_is_named() -> None:
    with pytest.raises(Refused, match="the header has an unknown key 'signature'"):
        codec.decode(with_header(b'{"bits":4,"description":{},"signature":"","tensors":[]}'))


def test_an_unknown_version_is_named() -> None:
    with pytest.raises(Refused, match="format version 2, this program reads version 1"):
        codec.decode(sealed(b"LTHC" + struct.pack("<HI", 2, 0)))


NONE, HALF = b"\x00\x80\x80", struct.pack("<He", 1 | 1 << 15, 1.0)  # a stream of one symbol; a codebook of one value
ONE = b"\x01\x00\x80\x80\x01"  # a stream of the second symbol alone


def kept(count: int, parts: list[int]) -> dict[str, Any]:
    return {"coding": "kept", "kept": count, "bytes": parts}


ENTRIES: dict[str, tuple[dict[str, Any], bytes]] = {
    "more values than its size allows": ({"shape": [2**27, 2], "coding": "kept", "kept": 0, "bytes": [3, 0, 7]}, b""),
    "many values in a shape of 0": ({"shape": [0, 2**28, 2**28], "bytes": [0]}, b""),
    "a product beyond 64 bits": ({"shape": [2**28] * 8}, b""),
    "a shape of a hundred thousand numbers": ({"shape": [2**28] * 100_000}, b""),
    "a shape of 70 ones": ({"shape": [1] * 70, "bytes": [4]}, b"\0" * 4),
    "negative": ({"shape": [-1]}, b""),
    "more kept than there is": (kept(3, [3, 0, 7]), NONE + HALF + NONE),
    "a mask with one value too far": (kept(1, [5, 1, 7]), ONE + b"\x80" + HALF + NONE),
    "gaps without their digits": (kept(1, [5, 0, 7]), ONE + HALF + NONE),
    "gaps of 2^60": (kept(1, [63, 8, 7]), b"\x3c" + b"\0" * 60 + b"\x80\x80" + b"\xff" * 8 + HALF + NONE),
    "frequencies that add up to less": (kept(1, [3, 0, 7]), b"\x00\xff\x7f" + HALF + NONE),
    "no codebook": (kept(1, [3, 0, 5]), NONE + b"\x00\x00" + NONE),
    "a codebook of 17 for 4 bits": (kept(1, [3, 0, 39]), NONE + b"\x11\x80" + b"\0" * 34 + NONE),
    "an index beyond the codebook": (kept(1, [3, 0, 9]), NONE + HALF + ONE),
    "two parts": (kept(1, [3, 0]), NONE),
    "a coding that is none": ({"coding": "pickle"}, b"\0" * 8),
    "bytes too many": ({}, b"\0" * 9),
    "bytes too few": ({}, b"\0" * 7),
    "a mask of plain values": ({"kept": 2}, b"\0" * 8),
}  # fmt: skip


@pytest.mark.parametrize(("entry", "payload"), ENTRIES.values(), ids=ENTRIES)
def test_an_invalid_entry_is_refused(entry: dict[str, Any], payload: bytes) -> None:
    assert refused(written(header_of(**entry), payload))


def test_two_tensors_of_one_name_and_too_many_are_refused() -> None:
    one = header_of(shape=[], bytes=[4])["tensors"][0]
    several: Callable[[int], list[Any]] = lambda n: [{**one, "name": str(i)} for i in range(n)]  # noqa: E731
    assert not refused(written({**header_of(), "tensors": several(20)}, b"\0" * 80))
    assert refused(written({**header_of(), "tensors": [one, one]}, b"\0" * 8))
    assert refused(written({**header_of(), "tensors": several(MAX_TENSORS + 1)}, b"\0" * 4 * (MAX_TENSORS + 1)))


# ---- resources


def costly() -> Iterator[tuple[str, bytes]]:
    """Small files that ask for as much as may be: values without a byte, streams of hardly one."""
    empty = {"coding": "kept", "kept": 0, "bytes": [3, 0, 5]}
    yield "values that are pruned", written(header_of(**empty, shape=[2**24]), NONE + b"\0\0" + NONE)
    every = {"coding": "kept", "bytes": [3, 0, 7]}
    yield "values that are one", written(header_of(**every, shape=[2**16], kept=2**16), NONE + HALF + NONE)
    # A symbol of frequency 16383 costs a ten-thousandth of a bit; 4 tensors of four lanes each.
    few = np.zeros(2**12, dtype=np.int64)
    few[7] = 1
    cheap = rans.encode(few)
    part = struct.pack("<Hee", 2 | 1 << 15, 1.0, 2.0) + cheap
    one = {"shape": [2**12], "coding": "kept", "kept": 2**12, "bytes": [3, 0, len(part)]}
    tensors = [{**one, "name": str(i)} for i in range(4)]
    yield "streams that cost nothing", written({**header_of(), "tensors": tensors}, (NONE + part) * 4)


def test_memory_is_bounded_in_proportion_to_the_file() -> None:
    """A file that has as many values, and as many of them kept, as one of its length may have."""
    length = 2**19
    kept, size = 2**20 + 8 * length, 2**25 + 6 * length - 2**16
    noise = {"name": "a", "shape": [2**16], "coding": "float64", "kept": None, "bytes": [2**19]}
    bomb = {"name": "w", "shape": [size], "coding": "kept", "kept": kept, "bytes": [3, 0, 7]}
    file = written({**header_of(), "tensors": [noise, bomb]}, bytes(2**19) + NONE + HALF + NONE)
    tracemalloc.start()
    try:
        assert codec.decode(file).mask["w"].sum() == kept
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 190e6 + 40 * len(file)


@pytest.mark.parametrize(
    ("shape", "kept"), [([2**26], 0), ([2**21], 2**21)], ids=["pruned values", "values that are one"]
)
def test_a_file_with_more_values_than_its_length_allows_is_decoded_for_a_net_that_has_them(
    shape: list[int], kept: int
) -> None:
    entry = {"coding": "kept", "kept": kept, "shape": shape, "bytes": [3, 0, 7]}
    file = written({**header_of(**entry), "description": {"a": 1}}, NONE + HALF + NONE)
    sentence = f"{shape[0]} values, {kept} of them kept: a file of {len(file)} bytes may have .* or as many as the net"
    for known in (0, shape[0] - 1):
        with pytest.raises(Refused, match=sentence):
            codec.decode(file, lambda _, known=known: known)  # type: ignore[misc]
    asked = []
    assert codec.decode(file, lambda description: asked.append(description) or shape[0]).mask["w"].sum() == kept
    assert asked == [{"a": 1}]


def test_no_net_is_too_large_to_be_counted_and_no_file_has_more_values_than_the_format() -> None:
    header = Header(None, {}, [Entry("w", [2**28 + 1], "kept", 0, [3, 0, 0])])
    with pytest.raises(ValueError, match="268435457 values: the format has at most 268435456"):
        serialize(header, b"")
    file = written(header_of(coding="kept", kept=0, shape=[2**28 + 1], bytes=[3, 0, 7]), NONE + HALF + NONE)
    with pytest.raises(Refused, match="268435457 values: the format has at most 268435456"):
        codec.decode(file, lambda _: 2**40)


@pytest.mark.parametrize("kept", [2047, 20_000])
def test_time_is_bounded_in_proportion_to_the_file(kept: int) -> None:
    """A file of many small tensors, whose streams have few lanes and cost nothing."""
    few = np.zeros(kept, dtype=np.int64)
    few[7] = 1
    values = struct.pack("<Hee", 2 | 1 << 15, 1.0, 2.0) + rans.encode(few)
    one = {"shape": [kept], "coding": "kept", "kept": kept, "bytes": [3, 0, len(values)]}
    tensors = [{**one, "name": str(i)} for i in range(2**20 // kept)]
    file = written({**header_of(), "tensors": sorted(tensors, key=lambda e: e["name"])}, (NONE + values) * len(tensors))
    before = time.process_time()
    assert len(codec.decode(file).mask) == len(tensors)
    assert time.process_time() - before < 3


@pytest.mark.parametrize(("name", "file"), list(costly()))
def test_a_small_file_costs_little(name: str, file: bytes) -> None:
    assert len(file) < 3000
    tracemalloc.start()
    try:
        decoded = codec.decode(file)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sum(weight.numel() for weight in decoded.weights.values()) >= 2**14
    assert most < 100e6


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the memory in use is read from /proc")
@pytest.mark.parametrize("coding", ["kept", "float16"])
def test_a_file_that_needs_more_memory_than_there_is_is_refused(coding: str) -> None:
    if coding == "kept":
        empty = {"coding": "kept", "kept": 0, "bytes": [3, 0, 5], "shape": [2**25]}
        file = written(header_of(**empty), NONE + b"\0\0" + NONE)
    else:
        file = written(header_of(coding="float16", kept=None, shape=[2**26], bytes=[2**27]), bytes(2**27))
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**26 + 2**25, hard))
    try:
        with pytest.raises(Refused, match="invalid file: it needs more memory than there is"):
            codec.decode(file)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
