"""A pruned net in a small file: an entropy-coded mask, and a few bits for each weight that is left. Version 1.

    4 bytes     LTHC
    u16, u32    version (1), length of the header
    header      zlib; JSON: bits (null or 1 to 8), description (the writer's), tensors, in order: name, shape, coding, and
                bytes, the lengths of the tensor's parts; with the coding "kept" also kept, how many values are kept
    parts       of all tensors, one behind the other
    32 bytes    SHA-256 of all before it

All numbers are little-endian. A tensor with the coding float16, float32 or int64 has one part, its values in row-major
order. One with the coding "kept" has three: the classes of its gaps (`rans`), the rest of the gaps (`tensor`), and the
values that are kept: with bits null float32, else a codebook and entropy-coded indices. What is not kept is 0. Nothing in
a file is ever executed, and what is not exactly such a file is refused.
"""

from lth.codec.file import Decoded, approximate, decode, encode
from lth.codec.rans import Refused

__all__ = ["Decoded", "Refused", "approximate", "decode", "encode"]
