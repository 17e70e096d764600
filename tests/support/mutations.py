"""Files damaged at random: bytes flipped, cut off, doubled or replaced by numbers that do not fit."""

from __future__ import annotations

import re

import numpy as np

NUMBERS = (b"-1", b"0", b"1e308", b"nan", b"inf", b"99999999999999", b"4294967295", b"2147483648", b"0.5", b"x")
BYTES = (0x00, 0xFF, 0x7F, 0x80, 0x0A, 0x20)


def mutated(content: bytes, rng: np.random.Generator) -> bytes:
    """A damaged copy of a file's content; one to four changes."""
    for _ in range(rng.integers(1, 5)):
        content = _CHANGES[rng.integers(len(_CHANGES))](content, rng)
    return content


def _flip(content: bytes, rng: np.random.Generator) -> bytes:
    values = bytearray(content)
    for place in rng.integers(0, max(1, len(values)), rng.integers(1, 6)) if values else ():
        values[place] ^= 1 << int(rng.integers(8))
    return bytes(values)


def _replace(content: bytes, rng: np.random.Generator) -> bytes:
    values = bytearray(content)
    for place in rng.integers(0, max(1, len(values)), rng.integers(1, 6)) if values else ():
        values[place] = BYTES[rng.integers(len(BYTES))]
    return bytes(values)


def _cut(content: bytes, rng: np.random.Generator) -> bytes:
    return content[: rng.integers(0, len(content) + 1)]


def _remove(content: bytes, rng: np.random.Generator) -> bytes:
    first, last = np.sort(rng.integers(0, len(content) + 1, 2))
    return content[:first] + content[min(last, first + 40) :]


def _double(content: bytes, rng: np.random.Generator) -> bytes:
    first, last = np.sort(rng.integers(0, len(content) + 1, 2))
    return content[:last] + content[first:]


def _number(content: bytes, rng: np.random.Generator) -> bytes:
    """One of the numbers written in the first kilobyte is replaced."""
    numbers = list(re.finditer(rb"-?\d+(\.\d+)?", content[:1024]))
    if not numbers:
        return content
    found = numbers[rng.integers(len(numbers))]
    return content[: found.start()] + NUMBERS[rng.integers(len(NUMBERS))] + content[found.end() :]


def _word(content: bytes, rng: np.random.Generator) -> bytes:
    """Four bytes are replaced by a whole number of a binary format."""
    if len(content) < 4:
        return content
    place = int(rng.integers(0, len(content) - 3))
    number = int(rng.choice([0, 1, 2**31 - 1, 2**31, 2**32 - 1, 0x7F800000, 0x7FC00000]))
    return content[:place] + number.to_bytes(4, "little") + content[place + 4 :]


_CHANGES = (_flip, _replace, _cut, _remove, _double, _number, _number, _word)
