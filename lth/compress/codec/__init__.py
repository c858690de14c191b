"""A pruned net in a small file: an entropy-coded mask, and a few bits for each weight that is left. Version 1.

    4 bytes     LTHC
    u16, u32    version (1), length of the header
    header      zlib; JSON, ASCII, keys sorted, no spaces: bits (null or 1 to 8), description (the writer's), tensors,
                by name: name, shape, coding, kept, and bytes, the lengths of the tensor's parts
    parts       of all tensors, one behind the other
    32 bytes    SHA-256 of all before it

All numbers are little-endian. A tensor with the coding float16, float32 or int64 has one part, its values in row-major
order; kept is null. One with the coding "kept" has three, and kept says how many values are. A gap is the distance from
the kept value before, in row-major order (from position -1, for the first). Parts: the number of binary digits of each
gap behind its first, entropy-coded (`rans`); those digits, highest first, eight a byte; the values that are kept: with
bits null float32, else a codebook and entropy-coded indices (`tensor`). What is not kept is 0.

Nothing in a file is ever executed, and what is not exactly such a file is refused. So is one that asks for more than
2^24 + 2^10 n values, or 2^16 + 2^5 n kept ones, n being its length in bytes, or for more than 2^28: a hostile file can
take 100 MB and six kilobytes for each byte of its own, and no more.
"""

from lth.compress.codec.file import Decoded, approximate, decode, encode
from lth.compress.codec.reader import Refused

__all__ = ["Decoded", "Refused", "approximate", "decode", "encode"]
