"""Entropy coding: interleaved range asymmetric numeral systems (Duda 2013, arXiv 1311.2540; Giesen 2014, 1402.3392).

A stream of n symbols below 256 becomes: the size of the alphabet less 1 (u8), the frequency of each symbol, out of 2^14
(LEB128), and, unless a single symbol has them all, the state of each lane (u32, little-endian) and words (u16) up to
its end. There are n div 1024 lanes, but at least 1 and at most 256; symbol i is of lane i mod lanes. A lane in state x
decodes slot = x mod 2^14 to the symbol s whose interval holds it, goes to x = f_s (x div 2^14) + slot - c_s, and if
x < 2^16 reads the next word w: x = 2^16 x + w; of lanes that read at the same time, lower ones read first. All lanes
end in state 2^16 and no word is left, which detects corruption.
"""

from collections.abc import Generator
from itertools import accumulate
from typing import Any

import numpy as np

from lth.compress.codec.reader import Reader, Refused

BITS = 14
SLOTS = 1 << BITS
LOWEST = 1 << 16
MOST_LANES = 256
PER_LANE = 1024
ROWS = 1024  # symbols of each lane that are decoded before they are passed on
FEW = 64  # lanes from which on NumPy is the faster one
Symbols = Generator[np.ndarray, None, Any]


def encode(symbols: np.ndarray) -> bytes:
    """Encode symbols: integers from 0 to 255, any number of them."""
    frequency = frequencies(np.bincount(symbols, minlength=1))
    head = bytes([len(frequency) - 1]) + b"".join(_leb128(int(f)) for f in frequency)
    if frequency.max() == SLOTS:
        return head
    start, lanes = np.cumsum(frequency) - frequency, _lanes(len(symbols))
    state = np.full(lanes, LOWEST, dtype=np.uint64)
    words: list[np.ndarray] = []
    for first in range((len(symbols) - 1) // lanes * lanes, -1, -lanes):
        row = symbols[first : first + lanes]
        x, f = state[: len(row)], frequency[row]
        full = x >= f << np.uint64(32 - BITS)
        words.append((x[full] & np.uint64(LOWEST - 1)).astype("<u2"))
        x = np.where(full, x >> np.uint64(16), x)
        state[: len(row)] = (x // f << np.uint64(BITS)) + x % f + start[row]
    return head + state.astype("<u4").tobytes() + np.concatenate(words[::-1]).tobytes()


def decode(data: bytes, count: int) -> np.ndarray:
    """Decode `count` symbols, uint8; raises Refused if `data` is not exactly their encoding."""
    return np.concatenate([np.empty(0, dtype=np.uint8), *chunks(data, count)])


def chunks(data: bytes, count: int) -> Symbols:
    """`decode` in parts, whose sizes `count` alone decides: those of two streams of equal length go together."""
    reader = Reader(data)
    frequency = [_frequency(reader) for _ in range(reader.number("<B") + 1)]
    if sum(frequency) != SLOTS:
        raise Refused("symbol frequencies do not add up to 2^14")
    lanes = _lanes(count)
    if max(frequency) == SLOTS:
        reader.end()
        yield from (np.full(size, frequency.index(SLOTS), dtype=np.uint8) for size in sizes(count))
        return
    state, words = reader.array("<u4", lanes), reader.array("<u2", reader.left // 2)
    reader.end()
    state, used = yield from (_one_by_one if lanes < FEW else _side_by_side)(frequency, state, words, sizes(count))
    if used != len(words) or (state != LOWEST).any():
        raise Refused("a stream is too long or ends in an invalid state")


def sizes(count: int) -> list[int]:
    """Sizes of the parts of `count` symbols: as many of each lane as of any other, but for the last part."""
    part = ROWS * _lanes(count)
    return [min(part, count - first) for first in range(0, count, part)]


def _side_by_side(frequency: list[int], state: np.ndarray, words: np.ndarray, parts: list[int]) -> Symbols:
    """Decode a symbol of each lane at a time; returns the last states and the number of words read."""
    state, share, used = state.astype(np.uint64), np.array(frequency, dtype=np.uint64), 0
    start, symbol_of = np.cumsum(share) - share, _symbol_of(frequency)
    for size in parts:
        symbols = np.empty(size, dtype=np.uint8)
        for first in range(0, size, len(state)):
            x = state[: size - first]
            slot = x & np.uint64(SLOTS - 1)
            row = symbol_of[slot]
            x = share[row] * (x >> np.uint64(BITS)) + slot - start[row]
            empty = np.flatnonzero(x < LOWEST)
            read = words[used : used + len(empty)]
            if len(read) < len(empty):
                raise Refused("truncated stream")
            x[empty] = (x[empty] << np.uint64(16)) | read
            used += len(empty)
            symbols[first : first + len(row)] = row
            state[: len(row)] = x
        yield symbols
    return state, used


def _one_by_one(frequency: list[int], state: np.ndarray, words: np.ndarray, parts: list[int]) -> Symbols:
    """Decode symbol after symbol, which is faster than arrays of a few lanes; returns as `_side_by_side` does."""
    states: list[int] = state.tolist()
    start, symbol_of = [0, *accumulate(frequency)], _symbol_of(frequency).tobytes()
    used, lanes = 0, len(states)
    for size in parts:
        symbols = bytearray(size)
        for i in range(size):
            x = states[i % lanes]
            slot = x & SLOTS - 1
            symbols[i] = row = symbol_of[slot]
            x = frequency[row] * (x >> BITS) + slot - start[row]
            if x < LOWEST:
                if used == len(words):
                    raise Refused("truncated stream")
                x = x << 16 | int(words[used])
                used += 1
            states[i % lanes] = x
        yield np.frombuffer(symbols, dtype=np.uint8)
    return np.array(states), used


def _symbol_of(frequency: list[int]) -> np.ndarray:
    """The symbol of each slot, uint8."""
    return np.repeat(np.arange(len(frequency), dtype=np.uint8), frequency)


def frequencies(counts: np.ndarray) -> np.ndarray:
    """Frequencies out of 2^14, proportional to the counts, uint64; at least 1 for each symbol that occurs."""
    total = counts.sum()
    if total == 0:
        return np.array([SLOTS], dtype=np.uint64)
    shares = np.maximum(np.round(counts / total * SLOTS), counts > 0).astype(np.int64)
    while (excess := shares.sum() - SLOTS) != 0:  # each rounding is off by less than 1; the largest absorbs it
        greatest = shares.argmax()
        shares[greatest] -= min(excess, shares[greatest] - 1)
    found: np.ndarray = shares.astype(np.uint64)
    return found


def _lanes(count: int) -> int:
    return min(max(count // PER_LANE, 1), MOST_LANES)


def _leb128(number: int) -> bytes:
    """LEB128: seven bits per byte, least significant first; the high bit is set on all bytes but the last."""
    return bytes([number & 127 | 128, number >> 7]) if number > 127 else bytes([number])


def _frequency(reader: Reader) -> int:
    low = reader.number("<B")
    return low if low < 128 else low & 127 | reader.number("<B") << 7
