"""Entropy coding: interleaved range asymmetric numeral systems (Duda 2013, arXiv 1311.2540; Giesen 2014, arXiv 1402.3392).

A stream of symbols below 256 becomes, little-endian: the size of the alphabet (u16), the frequency of each symbol, out
of 2^14 (u16), the number of lanes (u16), the state of each (u32), the number of words (u32), the words (u16). Symbol i
is of lane i mod lanes. A lane in state x decodes slot = x mod 2^14 to the symbol s whose interval holds it, goes to
x = f_s (x div 2^14) + slot - c_s, and if x < 2^16 reads the next word w: x = 2^16 x + w; of lanes that read at the same
time, lower ones read first. All lanes end in state 2^16 and no word is left: what was damaged is found.
"""

import struct

import numpy as np

BITS = 14
SLOTS = 1 << BITS
LOWEST = 1 << 16
MOST_LANES = 256


class Refused(ValueError):
    """A file is damaged, hostile, or not of this format."""


def encode(symbols: np.ndarray) -> bytes:
    """Symbols, integers of 0 to 255, in any number."""
    counts = np.bincount(symbols, minlength=1)
    frequency = frequencies(counts)
    start = np.cumsum(frequency) - frequency
    lanes = int(np.clip(len(symbols) // 2048, 1, MOST_LANES))
    state = np.full(lanes, LOWEST, dtype=np.uint64)
    words: list[np.ndarray] = []
    for first in range((len(symbols) - 1) // lanes * lanes, -1, -lanes):
        row = symbols[first : first + lanes]
        x, f = state[: len(row)], frequency[row]
        full = x >= f << np.uint64(32 - BITS)
        words.append((x[full] & np.uint64(LOWEST - 1)).astype("<u2"))
        x = np.where(full, x >> np.uint64(16), x)
        state[: len(row)] = (x // f << np.uint64(BITS)) + x % f + start[row]
    body = np.concatenate(words[::-1]) if words else np.empty(0, "<u2")
    head = struct.pack("<H", len(frequency)) + frequency.astype("<u2").tobytes()
    return (
        head + struct.pack("<H", lanes) + state.astype("<u4").tobytes() + struct.pack("<I", len(body)) + body.tobytes()
    )


def decode(data: bytes, count: int) -> np.ndarray:
    """`count` symbols, uint8; raises Refused if `data` is not exactly theirs."""
    reader = Reader(data)
    frequency = reader.array("<u2", reader.number("<H")).astype(np.uint64)
    if not 0 < len(frequency) <= 256 or frequency.sum() != SLOTS:
        raise Refused("the frequencies of a stream do not add up")
    state = reader.array("<u4", reader.number("<H")).astype(np.uint64)
    words = reader.array("<u2", reader.number("<I")).astype(np.uint64)
    reader.end()
    if not 0 < len(state) <= MOST_LANES or (state < LOWEST).any():
        raise Refused("the states of a stream are out of range")
    symbols, used = _symbols(frequency, state, words, count)
    if used != len(words) or (state != LOWEST).any():
        raise Refused("a stream does not end where it should")
    return symbols


def _symbols(frequency: np.ndarray, state: np.ndarray, words: np.ndarray, count: int) -> tuple[np.ndarray, int]:
    start = np.cumsum(frequency) - frequency
    symbol_of = np.repeat(np.arange(len(frequency), dtype=np.uint8), frequency.astype(np.int64))
    symbols, used = np.empty(count, dtype=np.uint8), 0
    for first in range(0, count, len(state)):
        x = state[: count - first]
        slot = x & np.uint64(SLOTS - 1)
        row = symbol_of[slot]
        x = frequency[row] * (x >> np.uint64(BITS)) + slot - start[row]
        empty = np.flatnonzero(x < LOWEST)
        read = words[used : used + len(empty)]
        if len(read) < len(empty):
            raise Refused("a stream ends too early")
        x[empty] = (x[empty] << np.uint64(16)) | read
        used += len(empty)
        symbols[first : first + len(row)] = row
        state[: len(row)] = x
    return symbols, used


def frequencies(counts: np.ndarray) -> np.ndarray:
    """Shares of 2^14 in proportion to the counts, uint64; whatever occurs has at least 1."""
    total = counts.sum()
    if total == 0:
        return np.array([SLOTS], dtype=np.uint64)
    shares = np.maximum(np.round(counts / total * SLOTS), counts > 0).astype(np.int64)
    while (excess := shares.sum() - SLOTS) != 0:  # rounding is off by less than one for each symbol: the greatest pays
        greatest = shares.argmax()
        shares[greatest] -= min(excess, shares[greatest] - 1)
    return shares.astype(np.uint64)


class Reader:
    """Bytes from the front; raises Refused when there are not as many as asked for."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = memoryview(data), 0

    def bytes(self, count: int) -> memoryview:
        """The next `count` bytes."""
        if count < 0 or self.at + count > len(self.data):
            raise Refused("the file ends too early")
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, kind: str) -> int:
        """The next number of a kind of struct."""
        (value,) = struct.unpack(kind, self.bytes(struct.calcsize(kind)))
        return int(value)

    def array(self, kind: str, count: int) -> np.ndarray:
        """The next `count` numbers of a kind of NumPy."""
        return np.frombuffer(self.bytes(count * np.dtype(kind).itemsize), kind)

    def end(self) -> None:
        """Nothing is left."""
        if self.at != len(self.data):
            raise Refused(f"{len(self.data) - self.at} bytes too many")
