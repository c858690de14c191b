"""Text as sequences of tokens, to predict the next one at each position."""

import unicodedata
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from lth import UserError
from lth.data.dataset import Data, Split
from lth.seed import seed

Level = Literal["character", "byte"]
# Names made of a code point or syllable, 82,000 of them.
NUMBERED = ("CJK UNIFIED", "CJK COMPATIBILITY IDEOGRAPH", "HANGUL SYLLABLE")


def text(
    *,
    file: str | None = None,
    length: int = 64,
    level: Level = "character",
    validation: float = 0.1,
    test: float = 0.1,
) -> Data:
    """A text, for task=language_model: `length` tokens, each to be followed by the next.

    file: UTF-8 text; None: the names of the 12,886 characters of Unicode 3.2 that have one, a line each in an order
    drawn once, 354,743 characters, from the standard library of any Python. level: a token is a character, one of those
    in the file, or a byte, one of 256. The text is split by position, without overlap: train, then `validation` and
    `test`, shares of its length. What is left of a sequence at the end of a split is dropped.
    """
    if level not in get_args(Level):
        raise UserError(f"data.level={level}: choose one of {', '.join(get_args(Level))}")
    content = _names() if file is None else _read(file, level)
    tokens, classes = _tokens(content, level)
    for name, share in (("validation", validation), ("test", test)):
        if not 0 < share < 1 or validation + test >= 1:
            raise UserError(f"data.{name}={share}: a share of the text above 0, both together below 1")
    if length < 1:
        raise UserError(f"data.length={length}: must be at least 1")
    bounds = [round(len(tokens) * share) for share in (1 - validation - test, 1 - test)]
    parts = np.split(tokens, bounds)
    if (short := min(map(len, parts))) <= length:
        raise UserError(f"{file or 'the text'} has {len(tokens)} tokens, and one split {short}, too few for {length} "
                        "and the token after them: lower data.length, or give a longer text")  # fmt: skip
    train, held_out, last = (_sequences(part, length) for part in parts)
    return Data("text", train, held_out, last, "none", classes)


def _sequences(tokens: np.ndarray, length: int) -> Split:
    """Sequences one after the other, and each of them one token on."""
    count = (len(tokens) - 1) // length
    inputs, targets = tokens[: count * length], tokens[1 : count * length + 1]
    return Split(inputs.reshape(count, length), targets.reshape(count, length))


def _tokens(content: bytes, level: Level) -> tuple[np.ndarray, int]:
    """Tokens, int64, and the size of the vocabulary."""
    if level == "byte":
        return np.frombuffer(content, dtype=np.uint8).astype(np.int64), 256
    points = np.frombuffer(content.decode().encode("utf-32-le"), dtype="<u4")
    vocabulary, tokens = np.unique(points, return_inverse=True)
    return tokens.astype(np.int64), len(vocabulary)


def _read(file: str, level: Level) -> bytes:
    try:
        content = Path(file).read_bytes()
    except OSError as error:
        raise UserError(f"data.file={file}: {error.strerror}; give a text file") from error
    try:
        content.decode()
    except UnicodeDecodeError as error:
        if level == "character":
            raise UserError(f"data.file={file} is not UTF-8 ({error.reason} at byte {error.start}): convert it, "
                            "or choose data.level=byte") from error  # fmt: skip
    return content


def _names() -> bytes:
    """Names of characters, a line each. Unicode 3.2 is frozen, so that they are the same in every Python."""
    old = unicodedata.ucd_3_2_0
    names = [name for point in range(0x110000) if (name := old.name(chr(point), ""))]
    names = [name for name in names if not name.startswith(NUMBERED)]
    order = np.random.default_rng(seed("names")).permutation(len(names))
    return "\n".join(names[i] for i in order).encode()
