"""Bounds-checked sequential reader for untrusted bytes."""

import struct

import numpy as np


class Refused(ValueError):
    """The file is corrupt, hostile or not in this format."""


class Reader:
    """Reads from the front; raises Refused when fewer bytes are left than requested."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = memoryview(data), 0

    @property
    def left(self) -> int:
        """Number of unread bytes."""
        return len(self.data) - self.at

    def bytes(self, count: int) -> memoryview:
        """The next `count` bytes."""
        if not 0 <= count <= self.left:
            raise Refused("unexpected end of file")
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, kind: str) -> int:
        """The next number; kind: a `struct` format."""
        (value,) = struct.unpack(kind, self.bytes(struct.calcsize(kind)))
        return int(value)

    def array(self, kind: str, count: int) -> np.ndarray:
        """The next `count` numbers; kind: a NumPy dtype."""
        found: np.ndarray = np.frombuffer(self.bytes(count * np.dtype(kind).itemsize), kind)
        return found

    def end(self) -> None:
        """Raise Refused unless all bytes were consumed."""
        if self.left:
            raise Refused(f"{self.left} extra bytes")
