"""One tensor <-> its bytes."""

import numpy as np

from lth.compress.codec import rans
from lth.compress.codec.codebook import cluster, round_to_float16
from lth.compress.codec.reader import Reader, Refused

MAX_DIGITS = 28
CHUNK = 2**18  # gaps that are decoded at a time
FLOAT16 = 1 << 15  # flag in the size of a codebook


def encode_positions(kept: np.ndarray) -> tuple[bytes, bytes]:
    """Mask of a tensor (boolean, flat) as gaps, the distances between kept values: the number of binary digits of each
    gap after the leading one, entropy-coded; and those digits, most significant first.
    """
    positions = np.flatnonzero(kept)
    gaps = np.diff(positions, prepend=-1)
    digits = np.floor(np.log2(gaps)).astype(np.int32)
    return rans.encode(digits), _pack_digits(gaps, digits)


def decode_positions(classes: bytes, rest: bytes, count: int, size: int) -> np.ndarray:
    """Positions of the `count` kept values of a tensor of `size` values; raises Refused."""
    digits = rans.decode(classes, count)
    if (digits > MAX_DIGITS).any() or -(-int(digits.sum(dtype=np.int64)) // 8) != len(rest):
        raise Refused("the digits of the gaps do not match their number")
    positions = np.empty(count, np.int64)
    last, at = -1, 0
    for first in range(0, count, CHUNK):  # so that the arrays beside the positions stay small
        part = digits[first : first + CHUNK].astype(np.int32)
        found = last + np.cumsum(_unpack_gaps(rest, at, part), dtype=np.int64)
        if (last := int(found[-1])) >= size:
            raise Refused("mask position out of range")
        positions[first : first + CHUNK] = found
        at += int(part.sum())
    return positions


def _pack_digits(gaps: np.ndarray, digits: np.ndarray) -> bytes:
    places, owner = _places(digits)
    return np.packbits((gaps[owner] >> places & 1).astype(np.uint8)).tobytes()


def _unpack_gaps(rest: bytes, at: int, digits: np.ndarray) -> np.ndarray:
    """Gaps with these numbers of digits, whose bits begin at bit `at`."""
    places, owner = _places(digits)
    part = np.frombuffer(rest, np.uint8)[at // 8 : -(-(at + len(places)) // 8)]
    bits = np.unpackbits(part)[at % 8 : at % 8 + len(places)].astype(np.int32)
    gaps: np.ndarray = np.left_shift(np.int32(1), digits)
    np.add.at(gaps, owner, bits << places)
    return gaps


def _places(digits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each binary digit its place (0 is the least significant) and the index of its gap."""
    owner = np.repeat(np.arange(len(digits), dtype=np.int32), digits)
    before = np.cumsum(digits) - digits
    return digits[owner] - 1 - (np.arange(len(owner)) - before[owner]), owner


def encode_values(values: np.ndarray, bits: int | None) -> bytes:
    """Kept values. bits=None: as float32. Else the size of the codebook (u16; the highest bit is set if the codebook is
    in float16), the codebook (float16 or float32), and entropy-coded indices into it.
    """
    if bits is None:
        return values.astype("<f4").tobytes()
    codebook, index = cluster(values, bits)
    half = np.array_equal(round_to_float16(codebook), codebook)
    size = len(codebook) | FLOAT16 if half else len(codebook)
    return size.to_bytes(2, "little") + codebook.astype("<f2" if half else "<f4").tobytes() + rans.encode(index)


def decode_values(data: bytes, count: int, bits: int | None) -> np.ndarray:
    """The `count` kept values, float32; raises Refused."""
    reader = Reader(data)
    if bits is None:
        values = reader.array("<f4", count)
        reader.end()
        return values.astype(np.float32)
    size = reader.number("<H")
    half, size = size >= FLOAT16, size % FLOAT16
    codebook = reader.array("<f2" if half else "<f4", size).astype(np.float32)
    index = rans.decode(bytes(reader.bytes(reader.left)), count)
    if size > 2**bits or (count and index.max() >= size):
        raise Refused("a codebook is larger than its bits allow, or an index is out of range")
    found: np.ndarray = codebook[index]
    return found


def approximate_values(values: np.ndarray, bits: int | None) -> np.ndarray:
    """The values as `decode_values` returns them."""
    if bits is None:
        return values
    codebook, index = cluster(values, bits)
    found: np.ndarray = codebook[index]
    return found
