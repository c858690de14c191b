"""Small files for pruned nets: an entropy-coded mask, and a few bits for each remaining weight. Format version 1.

    4 bytes     LTHC
    u16, u32    version (1), length of the header
    header      zlib-compressed JSON (ASCII, sorted keys, no spaces): bits (null or 1 to 8), description (any mapping),
                tensors, sorted by name: name, shape, coding, kept, bytes (the length of each part of the tensor)
    parts       of all tensors, concatenated
    32 bytes    SHA-256 of everything before

All numbers are little-endian. A tensor with coding "float16", "float32", "float64" or "int64" has one part, its values
in row-major order, and kept is null. A tensor with coding "kept" is pruned: kept is the number of values that remain,
all others are 0, and it has three parts. They describe gaps: the gap of a kept value is its distance from the kept
value before it, in row-major order; the first one's is the distance from position -1. Part 1: for each gap the number
of its binary digits after the leading one, entropy-coded (`rans`). Part 2: those digits, most significant first, eight
to a byte. Part 3: the kept values, as float32 if bits is null, else as a codebook and entropy-coded indices (`tensor`).

Decoding executes nothing from a file and refuses any file that does not match this format exactly. A file has at most
2^28 values. To bound memory and time, it also refuses a file of n bytes that has more than 2^25 + 6 n values, or more
than 2^20 + 8 n kept values, unless the caller has a net with as many. A hostile file takes at most 200 MB plus 40 bytes
for each of its bytes, beside what Python and PyTorch take, and with the net that it unpacks to 350 MB plus 60 bytes for
each; where the caller has the net, 50 MB plus 6 bytes for each value of the net, if that is more. Time is at most 0.5 s
plus 4 us for each byte, or 0.2 us for each value of the caller's net (of a core of 2024).
"""

from lth.compress.codec.file import Contents, decode, encode
from lth.compress.codec.reader import Refused

__all__ = ["Contents", "Refused", "decode", "encode"]
