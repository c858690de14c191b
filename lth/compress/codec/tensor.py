"""One tensor <-> its bytes."""

import numpy as np

from lth.compress.codec import rans
from lth.compress.codec.codebook import halved, shared
from lth.compress.codec.reader import Reader, Refused

MOST_DIGITS = 28
SHORT = 1 << 15


def encode_positions(kept: np.ndarray) -> tuple[bytes, bytes]:
    """Which of a tensor's values are kept (boolean, flat), as the gaps g between them: of g + 1 the number of binary
    digits behind the first is entropy-coded, the digits themselves are appended as they are, highest first.
    """
    positions = np.flatnonzero(kept)
    gaps = np.diff(positions, prepend=-1)  # g + 1
    digits = np.floor(np.log2(gaps)).astype(np.int32)
    return rans.encode(digits), _packed(gaps, digits)


def decode_positions(classes: bytes, rest: bytes, count: int, size: int) -> np.ndarray:
    """The positions of the `count` kept values of `size`; raises Refused."""
    digits = rans.decode(classes, count)
    if (digits > MOST_DIGITS).any() or -(-int(digits.sum(dtype=np.int64)) // 8) != len(rest):
        raise Refused("the gaps of a mask have another length")
    positions: np.ndarray = np.cumsum(_unpacked(rest, digits.astype(np.int32)), dtype=np.int64) - 1
    if count and positions[-1] >= size:
        raise Refused("a mask keeps more than there is")
    return positions


def _packed(gaps: np.ndarray, digits: np.ndarray) -> bytes:
    places, owner = _places(digits)
    return np.packbits((gaps[owner] >> places & 1).astype(np.uint8)).tobytes()


def _unpacked(rest: bytes, digits: np.ndarray) -> np.ndarray:
    places, owner = _places(digits)
    bits = np.unpackbits(np.frombuffer(rest, np.uint8), count=len(places)).astype(np.int32)
    gaps: np.ndarray = np.left_shift(np.int32(1), digits)
    np.add.at(gaps, owner, bits << places)
    return gaps


def _places(digits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each binary digit its place, counted from the lowest, and the gap that it belongs to."""
    owner = np.repeat(np.arange(len(digits), dtype=np.int32), digits)
    before = np.cumsum(digits) - digits
    return digits[owner] - 1 - (np.arange(len(owner)) - before[owner]), owner


def encode_values(values: np.ndarray, bits: int | None) -> bytes:
    """float32 as they are; or the size of the codebook (u16, the highest digit set if float16 holds it), the codebook
    (float16 or float32), and the entropy-coded indices into it.
    """
    if bits is None:
        return values.astype("<f4").tobytes()
    codebook, index = shared(values, bits)
    half = np.array_equal(halved(codebook), codebook)
    size = len(codebook) | SHORT if half else len(codebook)
    return size.to_bytes(2, "little") + codebook.astype("<f2" if half else "<f4").tobytes() + rans.encode(index)


def decode_values(data: bytes, count: int, bits: int | None) -> np.ndarray:
    """`count` values, float32; raises Refused."""
    reader = Reader(data)
    if bits is None:
        values = reader.array("<f4", count)
        reader.end()
        return values.astype(np.float32)
    size = reader.number("<H")
    half, size = size >= SHORT, size % SHORT
    codebook = reader.array("<f2" if half else "<f4", size).astype(np.float32)
    index = rans.decode(bytes(reader.bytes(reader.left)), count)
    if size > 2**bits or (count and index.max() >= size):
        raise Refused("a codebook is larger than its bits, or smaller than its indices")
    found: np.ndarray = codebook[index]
    return found


def approximated(values: np.ndarray, bits: int | None) -> np.ndarray:
    """What `decode_values` gives back."""
    if bits is None:
        return values
    codebook, index = shared(values, bits)
    found: np.ndarray = codebook[index]
    return found
