"""Pictures from a file's content: sizes from headers, pixels by OpenCV, and PNG files checked before OpenCV sees them.

libpng, which OpenCV uses, writes to stderr what it finds wrong. So a PNG file is given to it without the chunks that
say nothing about its pixels, and only if the checksums of the others are right. Small ones of a usual form are inflated
and their filters undone here, without the interpreter's lock; other small ones are decoded by Pillow.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from typing import BinaryIO

import numpy as np

from .budget import pixel_fault, pixel_limit

PixelSize = tuple[int, int]  # width, height

_PNG = b"\x89PNG\r\n\x1a\n"
_PIXELS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")  # chunks that pixels depend on, in their order
_INDEXED = 3  # colour type of pixels that are indices of a palette
_BITS = {0: (1, 2, 4, 8, 16), 2: (8, 16), _INDEXED: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}  # by colour type
_METHODS = (b"\0\0\0", b"\0\0\1")  # of compression and filtering; whether interlaced
_TRANSPARENT = {0: 2, 2: 6}  # bytes of tRNS by colour type; of a palette, up to one per entry
_SMALL = 1 << 20  # pixels, up to which Pillow decodes as fast as OpenCV
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
_MOST_GROWTH = 1032  # bytes that a byte of deflated data becomes at most
_PLAIN = ((1, 0), (8, 0), (8, 2), (8, 6))  # bits and colour types of pictures that need but their filters undone
_AS_OPENCV = {"1": "L", "LA": "RGBA", "P": "RGB"}  # Pillow's modes, and those of what OpenCV makes of such files
_ORDINARY = [b"IHDR", b"IDAT", b"IEND"]  # the chunks of most files
_HEAD = 41  # bytes of a file up to the kind of the chunk that follows the header
_CHUNK, _HEADER = struct.Struct(">I4s"), struct.Struct(">IIBBBBB")


def declared_size(source: bytes | BinaryIO) -> PixelSize:
    """Width and height from a picture's header.

    Raises:
        ValueError: No picture, or one of more pixels than the limit.
    """
    if not isinstance(source, bytes):
        size = _size_of_png(source.read(_HEAD))
        if size is not None and pixel_fault(*size) is None:
            return size
        source.seek(0)
    from PIL import Image

    most = Image.MAX_IMAGE_PIXELS
    if most is not None and 2 * most < pixel_limit():  # Pillow refuses twice as many, whatever our limit is
        Image.MAX_IMAGE_PIXELS = pixel_limit()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of bombs, for which we have a limit, and of odd metadata
            with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as picture:
                width, height = picture.size
    except Image.DecompressionBombError:
        most_text = f"{pixel_limit() / 1e6:.0f} million"
        raise ValueError(f"more than {most_text} pixels; a larger --memory raises the limit") from None
    except Exception:  # Pillow's plugins raise many kinds
        raise ValueError("not a readable picture") from None
    fault = pixel_fault(width, height)
    if fault is not None:
        raise ValueError(fault)
    return width, height


def _size_of_png(head: bytes) -> PixelSize | None:
    """Width and height by the first bytes of a PNG file that begins as most do; None if it does not.

    Pixels follow the header at once there, so that Pillow, which takes much longer, would look no further either.
    """
    begin, end = len(_PNG), _HEAD - 8
    if len(head) < _HEAD or head[: begin + 8] != _PNG + b"\0\0\0\rIHDR" or head[-4:] != b"IDAT":
        return None
    if zlib.crc32(head[begin + 4 : end - 4]) != int.from_bytes(head[end - 4 : end], "big"):
        return None
    width, height, bits, color, *_ = _HEADER.unpack(head[begin + 8 : end - 4])
    usual = bits in _BITS.get(color, ()) and color != _INDEXED and head[end - 7 : end - 4] in _METHODS
    return (width, height) if usual and width > 0 and height > 0 else None


def decode(data: bytes) -> np.ndarray | None:
    """The pixels of a file's content as stored: grey [H, W], RGB [H, W, 3] or RGBA [H, W, 4]; None if it is broken.

    Raises:
        ValueError: No picture, or one of more pixels than the limit, by its header.
    """
    try:
        png = _bare_png(data) if data.startswith(_PNG) else None
    except ValueError:
        declared_size(data)
        return None
    if png is None:
        declared_size(data)
        return _by_opencv(data)
    bare, header = png
    if bare != data or not _is_small(header):  # else Pillow, which decodes it, looks at the very same header
        declared_size(data)
    return _decode_png(bare, header)


def _is_small(header: bytes) -> bool:
    """Whether a PNG file has so few pixels that Pillow decodes it, and no more than the limit."""
    width, height = struct.unpack_from(">II", header)
    return width * height <= min(_SMALL, pixel_limit())


def _decode_png(bare: bytes, header: bytes) -> np.ndarray | None:
    """The pixels of a PNG file that holds nothing else, None if it is broken."""
    width, height, bits, color, _, _, interlaced = _HEADER.unpack(header)
    if (height * width * bits * _CHANNELS[color]) // 8 > _MOST_GROWTH * len(bare):
        return None  # less data than pixels
    if width * height <= _SMALL and (pixels := _plain_pixels(bare, header)) is not None:
        return pixels
    if width * height <= _SMALL or interlaced:
        picture = _by_pillow(bare)
        only_opencv = (bits == 16 and color != 0) or (color == 2 and b"tRNS" in bare)  # as Pillow leaves something out
        if picture is None or not only_opencv:
            return picture
    return _by_opencv(bare)


def _bare_png(data: bytes) -> tuple[bytes, bytes]:
    """A PNG file with nothing but the chunks that its pixels depend on, and its header; `ValueError` if broken."""
    chunks = _chunks(data)
    kind, begin, end = chunks[0]
    header, palette = data[begin + 8 : end - 4], 0
    if kind != b"IHDR" or len(header) != 13 or header[8] not in _BITS.get(header[9], ()) or header[10:] not in _METHODS:
        raise ValueError("no header")
    parts, kept = [_PNG, data[begin:end]], [kind]
    for kind, begin, end in chunks[1:]:
        size, color = end - begin - 12, header[9]
        if kind == b"PLTE" and color == _INDEXED:
            palette = size // 3
        elif kind == b"PLTE" or (kind == b"tRNS" and size != _TRANSPARENT.get(color, min(size, palette) or -1)):
            continue  # a suggestion for poorer screens, or one that does not fit
        parts.append(data[begin:end])
        kept.append(kind)
    if kept != _ORDINARY:
        alone = [kind for kind in kept if kind != b"IDAT"]
        if kept != sorted(kept, key=_PIXELS.index) or len(set(alone)) < len(alone):
            raise ValueError("chunks out of order")
    if header[9] == _INDEXED and palette == 0:
        raise ValueError("no palette")
    return b"".join(parts), header


def _chunks(data: bytes) -> list[tuple[bytes, int, int]]:
    """Kind, beginning and end of the chunks that pixels depend on; `ValueError` if one is cut short or has another
    checksum.
    """
    chunks, place, kind = [], len(_PNG), b""
    while kind != b"IEND":
        if place + 12 > len(data):
            raise ValueError("cut short")
        size, kind = _CHUNK.unpack_from(data, place)
        end = place + 12 + size
        if kind in _PIXELS:
            if end > len(data) or zlib.crc32(data[place + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
                raise ValueError("damaged")
            chunks.append((kind, place, end))
        place = end
    return chunks


def _plain_pixels(bare: bytes, header: bytes) -> np.ndarray | None:
    """The picture in a small PNG file of a usual form; None if it is of another one, or broken.

    Scenes have thousands of such files, and threads that read them would wait for one another: Pillow keeps the
    interpreter's lock while it decodes.
    """
    from .kernels.png_cpu import undo_filters, undo_filters_of_bits

    width, height, bits, color, _, _, interlaced = _HEADER.unpack(header)
    if interlaced or (bits, color) not in _PLAIN or b"tRNS" in bare:
        return None
    channels = _CHANNELS[color]
    stride, inflate = 1 + (width * bits * channels + 7) // 8, zlib.decompressobj()
    try:
        octets = inflate.decompress(_deflated(bare), height * stride + 1)
    except zlib.error:
        return None
    if len(octets) != height * stride or not inflate.eof:
        return None
    filtered = np.frombuffer(octets, np.uint8).reshape(height, stride)
    if bits == 1:
        pixels = np.empty((height, width), np.uint8)
        return pixels if undo_filters_of_bits(filtered, pixels) else None
    rows = np.empty((height, width * channels), np.uint8)
    if not undo_filters(filtered, channels, rows):
        return None
    return rows if color == 0 else rows.reshape(height, width, channels)


def _deflated(bare: bytes) -> bytes:
    """The data of all pixels in a PNG file that has been checked."""
    parts, place, kind = [], len(_PNG), b""
    while kind != b"IEND":
        size, kind = _CHUNK.unpack_from(bare, place)
        if kind == b"IDAT":
            parts.append(bare[place + 8 : place + 8 + size])
        place += 12 + size
    return b"".join(parts)


def _by_pillow(data: bytes) -> np.ndarray | None:
    """The picture in a PNG file's content in the form that OpenCV gives it, None if it is broken."""
    from PIL import Image

    try:
        picture = Image.open(io.BytesIO(data))
        picture.load()
    except Exception:  # Pillow's plugins raise many kinds
        return None
    transparent = picture.mode == "P" and "transparency" in picture.info
    mode = "RGBA" if transparent else _AS_OPENCV.get(picture.mode, picture.mode)
    return np.array(picture if mode == picture.mode else picture.convert(mode))


def indices_of(data: bytes, *, of_any: bool = False) -> np.ndarray | None:
    """The indices [H, W], uint8, in the content of a picture that `decode` has read; None without a palette that is
    opaque and holds no black, or, with `of_any`, without any palette.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as picture:
            if picture.mode != "P" or ("transparency" in picture.info and not of_any):
                return None
            if of_any:
                return np.array(picture)
            colors = np.array(picture.getpalette("RGB")).reshape(-1, 3)
            return np.array(picture) if colors.any(axis=1).all() else None
    except Exception:  # Pillow's plugins raise many kinds
        return None


def _by_opencv(data: bytes) -> np.ndarray | None:
    """The picture in a file's content, None if it is broken."""
    import cv2

    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # what cannot be read, we say ourselves
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None
    if image is None or image.ndim == 2:
        return image
    order = cv2.COLOR_BGR2RGB if image.shape[2] == 3 else cv2.COLOR_BGRA2RGBA if image.shape[2] == 4 else None
    return None if order is None else cv2.cvtColor(image, order)
