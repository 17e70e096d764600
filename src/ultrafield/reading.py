"""Files of any origin, read with checks before anything large is allocated and with errors that name them.

Sizes are checked from headers against the limits of `budget`; no file is unpickled or executed.
"""

from __future__ import annotations

import io
import json
import math
import os
import stat
import warnings
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import Any, BinaryIO
from zipfile import BadZipFile, ZipFile, ZipInfo

import numpy as np

from .budget import array_limit, pixel_fault
from .errors import RunError, SceneError, UltrafieldError, reason_of

PixelSize = tuple[int, int]  # width, height

_NPY = b"\x93NUMPY"
_ZIP = b"PK\x03\x04"
_SIZELESS = 1 << 20  # bytes read of a file whose size is given as 0, as that of files of the system is
_JSON_SHARE = 8  # bytes of Python objects that a byte of JSON may become
_BROKEN = (ValueError, KeyError, EOFError, BadZipFile, NotImplementedError, RuntimeError, MemoryError, zlib.error)


def read_bytes(path: str | Path, *, error: type[UltrafieldError] = SceneError, most: int | None = None) -> bytes:
    """The content of a regular file.

    Args:
        path: The file; a link to a regular file is followed.
        error: What to raise.
        most: Largest size in bytes; the limit of arrays by default.

    Raises:
        UltrafieldError: The file is missing, cannot be opened, is a folder, FIFO or device, or is too large.
    """
    path = Path(path)
    try:
        with _open(path, error) as file:
            size, limit = os.fstat(file.fileno()).st_size, array_limit() if most is None else most
            if size > limit:
                raise error(f"{path}: {_too_large(size, limit)}")
            return file.read(size or _SIZELESS)
    except OSError as failure:
        raise error(f"{path}: {_reason(failure)}") from None


def read_json(path: str | Path, *, error: type[UltrafieldError] = SceneError) -> Any:
    """Read a JSON file in UTF-8, with or without a byte-order mark.

    Raises:
        UltrafieldError: `error`, if the file is missing, malformed, nested too deeply or too large.
    """
    data = read_bytes(path, error=error, most=array_limit() // _JSON_SHARE)
    try:
        return json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as failure:
        reason = "it is nested too deeply" if isinstance(failure, RecursionError) else str(failure)
        raise error(f"{path}: not valid JSON ({reason})") from None


def read_npy(path: str | Path, *, error: type[UltrafieldError] = SceneError) -> np.ndarray:
    """Read an array of numbers or flags from an `.npy` file.

    Raises:
        UltrafieldError: `error`, if the file is missing, is no `.npy` file (an `.npz` archive, say), holds objects, is
            larger than the limit or shorter than its header says.
    """
    path = Path(path)
    try:
        with _open(path, error) as file:
            return _read_array(file, os.fstat(file.fileno()).st_size)
    except OSError as failure:
        raise error(f"{path}: {_reason(failure)}") from None
    except (ValueError, EOFError, MemoryError) as failure:
        raise error(f"{path}: not a readable array ({failure})") from None


def npy_header(path: str | Path, *, error: type[UltrafieldError] = SceneError) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and dtype that an `.npy` file declares; its numbers are not read. Errors are those of `read_npy`."""
    path = Path(path)
    try:
        with _open(path, error) as file:
            shape, _, dtype = _array_header(file)
            return shape, dtype
    except OSError as failure:
        raise error(f"{path}: {_reason(failure)}") from None
    except (ValueError, EOFError, MemoryError) as failure:
        raise error(f"{path}: not a readable array ({failure})") from None


def read_npz(
    path: str | Path, names: Collection[str] | None = None, *, error: type[UltrafieldError] = RunError
) -> dict[str, np.ndarray]:
    """Read the arrays of an `.npz` archive, all or those of some names that it holds.

    Raises:
        UltrafieldError: `error`, if the file is missing, broken, or larger than the limit once decoded.
    """
    path = Path(path)
    try:
        with _open(path, error) as file, ZipFile(file) as archive:
            members = {_array_name(item): item for item in archive.infolist()}
            wanted = {name: item for name, item in members.items() if names is None or name in names}
            size = sum(item.file_size for item in wanted.values())
            if size > array_limit():
                raise ValueError(_too_large(size, array_limit()))
            return {name: _read_member(archive, item) for name, item in wanted.items()}
    except OSError as failure:
        raise error(f"{path}: {_reason(failure)}") from None
    except (
        ValueError,
        KeyError,
        EOFError,
        BadZipFile,
        NotImplementedError,
        RuntimeError,
        MemoryError,
        zlib.error,
    ) as failure:
        raise error(f"{path}: cannot be read ({failure})") from None


def read_image(path: str | Path, *, error: type[UltrafieldError] = SceneError) -> np.ndarray:
    """Read a picture as stored: grey [H, W], RGB [H, W, 3] or RGBA [H, W, 4], uint8 or uint16.

    Its EXIF turn is ignored, so that pixels stay where the poses expect them.

    Raises:
        UltrafieldError: `error`, if the file is missing, is no picture, or declares more pixels than the limit.
    """
    path = Path(path)
    data = read_bytes(path, error=error)
    _header(path, data, error)
    image = _decoded(data)
    if image is None:
        raise error(f"{path}: not a readable picture")
    return image


def picture_size(path: str | Path, *, error: type[UltrafieldError] = SceneError) -> PixelSize:
    """Width and height that a picture file declares; its pixels are not decoded. Errors are those of `read_image`."""
    path = Path(path)
    try:
        with _open(path, error) as file:
            return _header(path, file, error)
    except OSError as failure:
        raise error(f"{path}: {_reason(failure)}") from None


def _open(path: Path, error: type[UltrafieldError]) -> BinaryIO:
    """Open a regular file; opening a FIFO or a device could block for ever."""
    try:
        mode = path.stat().st_mode
    except ValueError as failure:  # a null character
        raise error(f"{str(path)!r}: {failure}") from None
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "neither a file nor a folder (a FIFO, a socket or a device)"
        raise error(f"{path}: expected a file, but it is {kind}")
    return open(path, "rb")


def _reason(failure: OSError) -> str:
    return "no such file" if isinstance(failure, FileNotFoundError) else reason_of(failure)


def _too_large(size: int, limit: int) -> str:
    return f"takes {size / 1e6:,.0f} MB, more than {limit / 1e6:,.0f}; a larger --memory raises the limit"


def _array_name(item: ZipInfo) -> str:
    return item.filename.removesuffix(".npy")


def _read_member(archive: ZipFile, item: ZipInfo) -> np.ndarray:
    with archive.open(item) as member:
        return _read_array(member, item.file_size)


def _read_array(file: Any, size: int) -> np.ndarray:
    """The array in a stream of `size` bytes; `ValueError` if it is none, or not as long as its header says."""
    shape, fortran, dtype = _array_header(file)
    count = math.prod(shape)
    if count * dtype.itemsize > array_limit():
        raise ValueError(_too_large(count * dtype.itemsize, array_limit()))
    if count * dtype.itemsize > size:
        raise ValueError(f"its header announces {list(shape)} {dtype}, more than the file holds")
    data = file.read(count * dtype.itemsize)
    if len(data) < count * dtype.itemsize:
        raise ValueError("it is cut short")
    array = np.frombuffer(bytearray(data), dtype, count)  # a writable copy
    return array.reshape(shape[::-1]).T if fortran else array.reshape(shape)


def _array_header(file: Any) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, order (whether Fortran's) and dtype of the array in a stream; `ValueError` if it is none."""
    magic = file.read(len(_NPY) + 2)
    if magic[: len(_ZIP)] == _ZIP:
        raise ValueError("an .npz archive, expected a single array")
    if magic[: len(_NPY)] != _NPY or len(magic) < len(_NPY) + 2:
        raise ValueError("it does not begin as an .npy file does")
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    version = (magic[-2], magic[-1])
    if version not in readers:
        raise ValueError(f"format version {version[0]}.{version[1]} is not supported")
    try:
        shape, fortran, dtype = readers[version](file)
    except (OSError, EOFError):
        raise
    except Exception as failure:  # NumPy's parser raises many kinds, some with text of several lines
        reason = f": {str(failure).splitlines()[0]}" if isinstance(failure, ValueError) else ""
        raise ValueError(f"its header cannot be read{reason}") from None
    if any(size < 0 for size in shape):
        raise ValueError(f"its header announces the shape {list(shape)}")
    if dtype.hasobject:
        raise ValueError("it holds Python objects, which are never loaded")
    return shape, fortran, dtype


def _header(path: Path, source: bytes | BinaryIO, error: type[UltrafieldError]) -> PixelSize:
    """Width and height from a picture's header, checked against the limit."""
    from PIL import Image

    stream = io.BytesIO(source) if isinstance(source, bytes) else source
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of bombs, for which we have a limit, and of odd metadata
            with Image.open(stream) as picture:
                width, height = picture.size
    except Image.DecompressionBombError as failure:
        raise error(f"{path}: {failure}") from None
    except Exception:  # Pillow's plugins raise many kinds
        raise error(f"{path}: not a readable picture") from None
    fault = pixel_fault(width, height)
    if fault is not None:
        raise error(f"{path}: {fault}")
    return width, height


def _decoded(data: bytes) -> np.ndarray | None:
    """The picture in a file's content, None if OpenCV cannot read it."""
    import cv2

    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None
    if image is None or image.ndim == 2:
        return image
    order = cv2.COLOR_BGR2RGB if image.shape[2] == 3 else cv2.COLOR_BGRA2RGBA if image.shape[2] == 4 else None
    return None if order is None else cv2.cvtColor(image, order)
