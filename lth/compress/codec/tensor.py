"""One tensor <-> its bytes."""

from collections.abc import Iterator

import numpy as np

from lth.compress.codec import rans
from lth.compress.codec.codebook import cluster, round_to_float16
from lth.compress.codec.reader import Reader, Refused

MAX_DIGITS = 28
WINDOW = 5  # bytes that hold the digits of a gap, wherever in the first of them they begin
FLOAT16 = 1 << 15  # flag in the size of a codebook


def encode_positions(kept: np.ndarray) -> tuple[bytes, bytes]:
    """Mask of a tensor (boolean, flat) as gaps, the distances between kept values: the number of binary digits of each
    gap after the leading one, entropy-coded; and those digits, most significant first.
    """
    positions = np.flatnonzero(kept)
    gaps = np.diff(positions, prepend=-1)
    digits = np.floor(np.log2(gaps)).astype(np.int32)
    return rans.encode(digits), _pack_digits(gaps, digits)


def decode_positions(classes: bytes, rest: bytes, count: int, size: int) -> Iterator[np.ndarray]:
    """Positions of the `count` kept values of a tensor of `size` values, in parts of the sizes of `rans.chunks`; raises
    Refused.
    """
    last, at = -1, 0
    for digits in rans.chunks(classes, count):
        if (digits > MAX_DIGITS).any() or 8 * len(rest) < at + (total := int(digits.sum(dtype=np.int64))):
            raise Refused("the digits of the gaps do not match their number")
        positions = last + np.cumsum(_gaps(rest, at, digits.astype(np.int64)))
        if (last := int(positions[-1])) >= size:
            raise Refused("mask position out of range")
        yield positions
        at += total
    if -(-at // 8) != len(rest):
        raise Refused("the digits of the gaps do not match their number")


def _pack_digits(gaps: np.ndarray, digits: np.ndarray) -> bytes:
    owner = np.repeat(np.arange(len(digits), dtype=np.int32), digits)
    before = np.cumsum(digits) - digits
    places = digits[owner] - 1 - (np.arange(len(owner)) - before[owner])  # 0 is the least significant
    return np.packbits((gaps[owner] >> places & 1).astype(np.uint8)).tobytes()


def _gaps(rest: bytes, at: int, digits: np.ndarray) -> np.ndarray:
    """Gaps with these numbers of digits, whose bits begin at bit `at`."""
    ends = at + np.cumsum(digits)
    first = (ends - digits) // 8
    window = np.zeros(len(digits), dtype=np.int64)
    part = np.frombuffer(rest[first[0] : ends[-1] // 8 + 1] + bytes(WINDOW), dtype=np.uint8)
    for byte in range(WINDOW):
        window = window << 8 | part[first - first[0] + byte]
    one = np.int64(1) << digits
    gaps: np.ndarray = one | (window >> 8 * (first + WINDOW) - ends) & one - 1
    return gaps


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


def decode_values(data: bytes, count: int, bits: int | None) -> Iterator[np.ndarray]:
    """The `count` kept values, float32, in parts of the sizes of `rans.chunks`; raises Refused."""
    reader = Reader(data)
    if bits is None:
        for size in rans.sizes(count):
            yield reader.array("<f4", size)
        reader.end()
        return
    size = reader.number("<H")
    half, size = size >= FLOAT16, size % FLOAT16
    codebook = reader.array("<f2" if half else "<f4", size).astype(np.float32)
    if size > 2**bits:
        raise Refused("a codebook is larger than its bits allow")
    for index in rans.chunks(bytes(reader.bytes(reader.left)), count):
        if index.max() >= size:
            raise Refused("an index is beyond its codebook")
        yield codebook[index]
