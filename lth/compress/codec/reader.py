"""Bytes that may be anything, from the front."""

import struct

import numpy as np


class Refused(ValueError):
    """A file is damaged, hostile, or not of this format."""


class Reader:
    """Raises Refused when there are not as many bytes as asked for."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = memoryview(data), 0

    @property
    def left(self) -> int:
        """How many bytes are left."""
        return len(self.data) - self.at

    def bytes(self, count: int) -> memoryview:
        """The next `count` bytes."""
        if not 0 <= count <= self.left:
            raise Refused("the file ends too early")
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, kind: str) -> int:
        """The next number of a kind of struct."""
        (value,) = struct.unpack(kind, self.bytes(struct.calcsize(kind)))
        return int(value)

    def array(self, kind: str, count: int) -> np.ndarray:
        """The next `count` numbers of a kind of NumPy."""
        found: np.ndarray = np.frombuffer(self.bytes(count * np.dtype(kind).itemsize), kind)
        return found

    def end(self) -> None:
        """Nothing is left."""
        if self.left:
            raise Refused(f"{self.left} bytes too many")
