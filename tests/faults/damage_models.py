"""3D models with chunks, headers and lines that no reader expects."""

from __future__ import annotations

import random
import struct

from damage_json import damaged_json

NUMBERS = ("-1", "0", "1e308", "nan", "inf", "99999999999999", "4294967295", "2147483648", "0.5", "x", "", "9" * 5000)
CELLS = (
    *(
        '"',
        '"a',
        'a"b',
        '"a\nb"',
        "..",
        "a/b",
        "0:0",
        "9:3",
        ":",
        "1:",
        "a\x01b",
        "é",
        "\U0001f600",
        "=1+1",
        "--out",
        "yes",
    ),
    *("lift", "both", " ", "a" * 300, "١", "²", "scene", "/dev/zero", "s3://x/y", "http://[", "none*"),
)
KINDS = (
    "char",
    "uchar",
    "short",
    "int",
    "uint",
    "float",
    "double",
    "int64",
    "list uchar int",
    "list int float",
    "nonsense",
)


def damaged_glb(content: bytes, rng: random.Random) -> bytes:
    """A binary glTF file with values of its JSON changed, its chunks doubled or missing, or its lengths wrong."""
    size = struct.unpack_from("<I", content, 12)[0]
    text, rest, draw = content[20 : 20 + size], content[20 + size :], rng.random()
    if draw < 0.7:
        text = damaged_json(text, rng)
        text += b" " * (-len(text) % 4)
        size = len(text)
    elif draw < 0.8:
        rest = rng.choice((b"", rest[:8], rest + rest, rest[: rng.randrange(len(rest) + 1)]))
    elif draw < 0.9 and rest:
        values = bytearray(rest)
        for _ in range(rng.choice((1, 20))):
            place = 8 + 4 * rng.randrange(max(1, len(rest) // 4 - 2))
            values[place : place + 4] = rng.choice(
                (b"\0\0\xc0\x7f", b"\0\0\x80\x7f", b"\xff\xff\xff\xff", b"\xff\xff\x7f\x7f")
            )
        rest = bytes(values)
    else:
        size = rng.choice((0, 1, size - 4, size + 4, 0xFFFFFFFF))
    total = 20 + len(text) + len(rest) if rng.random() < 0.95 else rng.choice((0, 20, 0xFFFFFFFF))
    return (
        struct.pack("<4sIIII", b"glTF", rng.choice((2, 2, 2, 2, 2, 1, 3)), total, size & 0xFFFFFFFF, 0x4E4F534A)
        + text
        + rest
    )


def damaged_ply(content: bytes, rng: random.Random) -> bytes:
    """A PLY file with lines of its header changed, or numbers after it."""
    head, end, body = content.partition(b"end_header\n")
    lines = head.decode("latin-1").split("\n")[:-1]
    if not end or not lines:
        return content[: rng.randrange(len(content) + 1)]
    index, draw = rng.randrange(len(lines)), rng.random()
    if draw < 0.3:
        words = lines[index].split(" ")
        words[-1] = rng.choice(NUMBERS)
        lines[index] = " ".join(words)
    elif draw < 0.45:
        words = lines[index].split(" ")
        if len(words) > 2:
            words[1] = rng.choice(KINDS)
        lines[index] = " ".join(words)
    elif draw < 0.55:
        del lines[index]
    elif draw < 0.65:
        lines.insert(
            index,
            rng.choice((lines[index], "element vertex 4294967296", "property list int int a", "comment " + "x" * 5000)),
        )
    elif draw < 0.75:
        lines = [
            rng.choice(("format ascii 1.0", "format binary_big_endian 1.0", "format x 9"))
            if line.startswith("format")
            else line
            for line in lines
        ]
    else:
        values = bytearray(body)
        for _ in range(rng.choice((1, 20, 400))):
            place = rng.randrange(max(1, len(values) - 4))
            values[place : place + 4] = rng.choice(
                (b"\0\0\xc0\x7f", b"\0\0\x80\x7f", b"\xff\xff\xff\xff", b"\xff\xff\x7f\x7f", b"\xca\xf2\x49\x71")
            )
        body = bytes(values)
    newline = rng.choice(("\n", "\n", "\n", "\r\n"))
    return newline.join([*lines, ""]).encode("latin-1") + end + body


def damaged_table(content: bytes, rng: random.Random) -> bytes:
    """A table with cells changed, doubled or missing, and rows doubled or missing."""
    lines = content.decode("utf-8", "replace").split("\n")
    for _ in range(rng.choice((1, 2, 5))):
        index, draw = rng.randrange(len(lines)), rng.random()
        cells = lines[index].split(",")
        place = rng.randrange(len(cells))
        if draw < 0.5:
            cells[place] = rng.choice((*NUMBERS, *CELLS))
        elif draw < 0.7:
            cells.insert(place, rng.choice((cells[place], *CELLS)))
        elif draw < 0.8:
            del cells[place]
        lines[index] = ",".join(cells)
        if draw >= 0.9:
            lines.insert(index, rng.choice((lines[index], "", ",", "\0", "x" * 300_000)))
        elif draw >= 0.8:
            del lines[index]
            lines = lines or [""]
    newline = rng.choice(("\n", "\n", "\r\n", "\r"))
    return newline.join(lines).encode(rng.choice(("utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1")), "replace")


def damaged_text(content: bytes, rng: random.Random) -> bytes:
    """A file of lines with words changed, and lines doubled or missing."""
    lines = content.decode("latin-1").split("\n")
    for _ in range(rng.choice((1, 2, 5))):
        index, draw = rng.randrange(len(lines)), rng.random()
        words = lines[index].split(" ")
        if draw < 0.6:
            words[rng.randrange(len(words))] = rng.choice(NUMBERS)
            lines[index] = " ".join(words)
        elif draw < 0.8:
            lines.insert(
                index,
                rng.choice(
                    (
                        lines[index],
                        "f 1 1 1",
                        "f 0 -9 99999",
                        "mtllib /etc/passwd",
                        "usemtl x",
                        "\0" * 20,
                        "v nan nan nan",
                    )
                ),
            )
        elif len(lines) > 1:
            del lines[index]
    return "\n".join(lines).encode("latin-1", "replace")
