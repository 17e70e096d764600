"""Pictures of other kinds, formats and sizes than their names say, and broken ones."""

from __future__ import annotations

import io
import random
import struct
import zlib

import numpy as np
from PIL import Image

FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "ICO", "TGA", "JPEG2000", "AVIF")
MODES = ("1", "L", "P", "LA", "RGB", "RGBA", "CMYK", "I", "F", "I;16", "YCbCr", "PA")
SIZES = (
    (60000, 60000),
    (1 << 31, 1),
    (1, 1 << 31),
    (8000, 8000),
    (16000, 16000),
    (0, 0),
    (1, 1),
    (65535, 65535),
    (3, 500),
)
_PNG = b"\x89PNG\r\n\x1a\n"


def damaged_picture(content: bytes, rng: random.Random) -> bytes:
    """A picture in another format or mode, of another size, with chunks changed, or cut short."""
    draw = rng.random()
    if content.startswith(_PNG) and draw < 0.4:
        return _chunks(content, rng)
    if draw < 0.5:
        return _hollow(rng)
    if draw < 0.6:
        return content[: rng.randrange(len(content) + 1)]
    if content[:4] in (b"II*\0", b"MM\0*") and draw < 0.8:
        return _tags(content, rng)
    try:
        return encoded(_converted(Image.open(io.BytesIO(content)), rng), rng)
    except Exception:  # what Pillow cannot convert
        return content[: rng.randrange(len(content) + 1)]


def encoded(picture: Image.Image, rng: random.Random, names: tuple[str, ...] = FORMATS) -> bytes:
    """A picture in the first of some formats, drawn at random, that can hold it."""
    for name in rng.sample(names, len(names)):
        stream = io.BytesIO()
        try:
            picture.save(stream, name)
        except (OSError, ValueError, KeyError):
            continue
        return stream.getvalue()
    stream = io.BytesIO()
    picture.convert("RGB").save(stream, "PNG")
    return stream.getvalue()


def _converted(picture: Image.Image, rng: random.Random) -> Image.Image:
    draw = rng.random()
    picture.load()
    if draw < 0.2:
        return picture.resize(rng.choice(((1, 1), (24, 1), (23, 24), (48, 48), (25, 24), (3000, 3000), (24, 24))))
    if draw < 0.3:
        numbers = np.random.default_rng(rng.getrandbits(32)).integers(0, 65535, picture.size[::-1]).astype(np.uint16)
        return Image.fromarray(numbers)
    if draw < 0.4:
        return Image.new(rng.choice(("L", "RGB", "RGBA")), picture.size, rng.choice((0, 1, 255)))
    mode = rng.choice(MODES)
    if mode == "I;16":
        return Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257)
    if mode == "F":
        values = np.asarray(picture.convert("L")).astype(np.float32)
        values.flat[:5] = rng.choice((np.nan, np.inf, -1, 1e30))
        return Image.fromarray(values)
    return picture.convert("RGB").convert(mode) if mode != "PA" else picture.convert("P").convert("PA")


def _chunk(kind: bytes, data: bytes, check: int | None = None) -> bytes:
    return (
        struct.pack(">I", len(data))
        + kind
        + data
        + struct.pack(">I", zlib.crc32(kind + data) if check is None else check)
    )


def _hollow(rng: random.Random) -> bytes:
    """A PNG file of a declared size, with all, some or none of its pixels, all black."""
    width, height = rng.choice(SIZES)
    bits, color = rng.choice(((8, 0), (8, 2), (8, 6), (16, 0), (16, 6), (1, 0), (8, 3), (8, 4)))
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color]
    pack = zlib.compressobj(1)
    row = bytes(1 + -(-width * bits * channels // 8)) if width * height <= 16000 * 16000 else b"\0"
    rows = height if rng.random() < 0.7 and len(row) > 1 else min(height, 3)
    data = b"".join(pack.compress(row) for _ in range(rows)) + pack.flush()
    header = struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, rng.choice((0, 0, 1)))
    palette = _chunk(b"PLTE", bytes(range(6))) if color == 3 else b""
    return _PNG + _chunk(b"IHDR", header) + palette + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _chunks(content: bytes, rng: random.Random) -> bytes:
    """A PNG file with chunks changed, missing, doubled, in another order, or of odd kinds."""
    chunks, place = [], len(_PNG)
    while place + 8 <= len(content):
        size, kind = struct.unpack_from(">I4s", content, place)
        chunks.append((kind, content[place + 8 : place + 8 + size]))
        place += 12 + size
    index, draw = rng.randrange(len(chunks)), rng.random()
    kind, data = chunks[index]
    if draw < 0.25:
        values = bytearray(data or b"\0")
        values[rng.randrange(len(values))] = rng.randrange(256)
        chunks[index] = kind, bytes(values)
    elif draw < 0.4:
        header = bytearray(chunks[0][1])
        header[rng.randrange(8, 13)] = rng.choice((0, 1, 2, 3, 4, 6, 7, 8, 16, 255))
        chunks[0] = chunks[0][0], bytes(header)
    elif draw < 0.5:
        del chunks[index]
    elif draw < 0.6:
        rng.shuffle(chunks)
    elif draw < 0.9:
        odd = rng.choice(
            (
                (b"zTXt", b"a\0\0" + zlib.compress(bytes(1 << 26), 9)),
                (b"iCCP", b"a\0\0" + zlib.compress(bytes(1 << 26), 9)),
                (b"tRNS", b"\0\0\0\0\0\0"),
                (b"gAMA", b"\0\0\0\0"),
                (b"eXIf", b"II*\0" + b"\xff" * 40),
                (b"acTL", struct.pack(">II", 1 << 30, 0)),
                (b"PLTE", b"\0" * 10),
                (b"\0\0\0\0", b""),
                (b"iTXt", b"\xff" * 30),
                (b"cHRM", bytes(32)),
                (b"sRGB", b"\x09"),
                (b"tEXt", b""),
                (b"bKGD", b"\0" * 9),
                (b"IDAT", b"garbage"),
                (b"IHDR", chunks[0][1]),
                (b"pHYs", b""),
                (b"iCCP", b"profile\0\0broken"),
            )
        )
        chunks.insert(rng.randrange(len(chunks) + 1), odd)
    else:
        chunks[-1] = b"IEND", b"x" * 10
    wrong = rng.random() < 0.15
    return _PNG + b"".join(_chunk(kind, data, 1 if wrong else None) for kind, data in chunks)


def _tags(content: bytes, rng: random.Random) -> bytes:
    """A TIFF file with fields of its first directory changed: sizes, bits, compression, offsets, counts."""
    order = "<" if content[:2] == b"II" else ">"
    values, place = bytearray(content), struct.unpack_from(order + "I", content, 4)[0]
    count = struct.unpack_from(order + "H", content, place)[0]
    for _ in range(rng.choice((1, 1, 2))):
        field = place + 2 + 12 * rng.randrange(max(1, count))
        if field + 12 <= len(values):
            part, form = rng.choice(((0, "H"), (2, "H"), (4, "I"), (8, "I"), (8, "I")))
            most = 0xFFFF if form == "H" else 0xFFFFFFFF
            number = rng.choice((0, 1, 2, 3, 5, 8, 16, 32, 60000, most, most >> 1)) & most
            struct.pack_into(order + form, values, field + part, number)
    return bytes(values)
