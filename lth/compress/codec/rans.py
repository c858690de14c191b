"""Entropy coding: interleaved range asymmetric numeral systems (Duda 2013, arXiv 1311.2540; Giesen 2014, 1402.3392).

A stream of n symbols below 256 becomes: the size of the alphabet less 1 (u8), the frequency of each symbol, out of 2^14
(LEB128), and, unless a single symbol has them all, the state of each lane (u32, little-endian) and words (u16) up to
its end. There are n div 1024 lanes, but at least 1 and at most 256; symbol i is of lane i mod lanes. A lane in state x
decodes slot = x mod 2^14 to the symbol s whose interval holds it, goes to x = f_s (x div 2^14) + slot - c_s, and if
x < 2^16 reads the next word w: x = 2^16 x + w; of lanes that read at the same time, lower ones read first. All lanes
end in state 2^16 and no word is left, which detects corruption.
"""

import numpy as np

from lth.compress.codec.reader import Reader, Refused

BITS = 14
SLOTS = 1 << BITS
LOWEST = 1 << 16
MOST_LANES = 256
PER_LANE = 1024


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
    reader = Reader(data)
    frequency = np.array([_frequency(reader) for _ in range(reader.number("<B") + 1)], dtype=np.uint64)
    if frequency.sum() != SLOTS:
        raise Refused("symbol frequencies do not add up to 2^14")
    if frequency.max() == SLOTS:
        reader.end()
        return np.full(count, frequency.argmax(), dtype=np.uint8)
    state = reader.array("<u4", _lanes(count)).astype(np.uint64)
    words = reader.array("<u2", reader.left // 2).astype(np.uint64)
    reader.end()
    symbols, used = _symbols(frequency, state, words, count)
    if used != len(words) or (state != LOWEST).any():
        raise Refused("a stream is too long or ends in an invalid state")
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
            raise Refused("truncated stream")
        x[empty] = (x[empty] << np.uint64(16)) | read
        used += len(empty)
        symbols[first : first + len(row)] = row
        state[: len(row)] = x
    return symbols, used


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
