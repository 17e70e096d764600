"""Files of any origin, read with checks before anything large is allocated and with errors that name them.

Sizes are checked from headers against the limits of `budget`; no file is unpickled or executed.
"""

from __future__ import annotations

import io
import json
import math
import os
import stat
import struct
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import Any, BinaryIO
from zipfile import BadZipFile, ZipFile, ZipInfo

import numpy as np

from .budget import array_limit
from .decoding import PixelSize as PixelSize
from .decoding import declared_size, decode, indices_of
from .errors import RunError, SceneError, UltrafieldError, reason_of

_NPY = b"\x93NUMPY"
_ZIP = b"PK\x03\x04"
_PIECE = 1 << 24  # bytes of an array that are read at a time
_SIZELESS = 1 << 20  # bytes read of a file whose size is given as 0, as that of files of the system is
_JSON_SHARE = 8  # bytes of Python objects that a byte of JSON may become
_LENGTHS = {(1, 0): struct.Struct("<H"), (2, 0): struct.Struct("<I")}  # of the headers of arrays, by their version
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
    try:
        with _open(path, error, buffering=0) as file:
            size, limit = os.fstat(file.fileno()).st_size, array_limit() if most is None else most
            if size > limit:
                raise error(f"{path}: {_too_large(size, limit)}")
            return _read_whole(file, size or _SIZELESS)
    except OSError as failure:
        raise error(f"{path}: {_reason(failure)}") from None


def read_head(path: str | Path, size: int, *, error: type[UltrafieldError] = SceneError) -> bytes:
    """The first `size` bytes of a regular file, or all of a shorter one; errors are those of `read_bytes`."""
    path = Path(path)
    try:
        with _open(path, error) as file:
            return file.read(size)
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
    except _BROKEN as failure:
        raise error(f"{path}: cannot be read ({failure})") from None


def npz_headers(
    path: str | Path, *, error: type[UltrafieldError] = SceneError
) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
    """Shape and dtype of each array in an `.npz` archive; the numbers are not read. Errors are those of `read_npz`."""
    path = Path(path)
    try:
        with _open(path, error) as file, ZipFile(file) as archive:
            return {_array_name(item): _member_header(archive, item) for item in archive.infolist()}
    except OSError as failure:
        raise error(f"{path}: {_reason(failure)}") from None
    except _BROKEN as failure:
        raise error(f"{path}: cannot be read ({failure})") from None


def read_image(path: str | Path, *, error: type[UltrafieldError] = SceneError) -> np.ndarray:
    """Read a picture as stored: grey [H, W], RGB [H, W, 3] or RGBA [H, W, 4], uint8 or uint16.

    Its EXIF turn is ignored, so that pixels stay where the poses expect them.

    Raises:
        UltrafieldError: `error`, if the file is missing, is no picture, or declares more pixels than the limit.
    """
    return _decoded(path, read_bytes(path, error=error), error)


def read_ids(path: str | Path, *, of_any: bool = False, error: type[UltrafieldError] = SceneError) -> np.ndarray:
    """Read a picture of ids: as `read_image` does, but the indices [H, W], uint8, of an opaque palette without black.

    With `of_any`, of any palette: its colours are for the eye then. Errors are those of `read_image`.
    """
    data = read_bytes(path, error=error)
    image = _decoded(path, data, error)
    indices = indices_of(data, of_any=of_any) if image.ndim == 3 and (of_any or image.shape[2] == 3) else None
    return image if indices is None else indices


def _decoded(path: str | Path, data: bytes, error: type[UltrafieldError]) -> np.ndarray:
    """The picture in a file's content."""
    try:
        image = decode(data)
    except ValueError as failure:
        raise error(f"{path}: {failure}") from None
    if image is None:
        raise error(f"{path}: not a readable picture")
    return image


def picture_size(path: str | Path, *, error: type[UltrafieldError] = SceneError) -> PixelSize:
    """Width and height that a picture file declares; its pixels are not decoded. Errors are those of `read_image`."""
    try:
        with _open(path, error) as file:
            return declared_size(file)
    except OSError as failure:
        raise error(f"{path}: {_reason(failure)}") from None
    except ValueError as failure:
        raise error(f"{path}: {failure}") from None


def _read_whole(file: BinaryIO, size: int) -> bytes:
    """The next `size` bytes of a file without buffer, fewer only at its end; such a file may give a few at a time."""
    data = file.read(size)
    while 0 < len(data) < size and (more := file.read(size - len(data))):
        data += more
    return data


def _open(path: str | Path, error: type[UltrafieldError], *, buffering: int = -1) -> BinaryIO:
    """Open a regular file; opening a FIFO or a device could block for ever."""
    try:
        mode = os.stat(path).st_mode
    except ValueError as failure:  # a null character
        raise error(f"{str(path)!r}: {failure}") from None
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "neither a file nor a folder (a FIFO, a socket or a device)"
        raise error(f"{path}: expected a file, but it is {kind}")
    return open(path, "rb", buffering=buffering)


def _reason(failure: OSError) -> str:
    return "no such file" if isinstance(failure, FileNotFoundError) else reason_of(failure)


def _too_large(size: int, limit: int) -> str:
    return f"takes {size / 1e6:,.0f} MB, more than {limit / 1e6:,.0f}; a larger --memory raises the limit"


def _array_name(item: ZipInfo) -> str:
    return item.filename.removesuffix(".npy")


def _member_header(archive: ZipFile, item: ZipInfo) -> tuple[tuple[int, ...], np.dtype[Any]]:
    with archive.open(item) as member:
        shape, _, dtype = _array_header(member)
        return shape, dtype


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
    array = np.empty(count, dtype)
    _fill(array.view(np.uint8).data, file)
    return array.reshape(shape[::-1]).T if fortran else array.reshape(shape)


def _fill(target: memoryview, file: Any) -> None:
    """Read the next bytes of a stream into `target`, a few at a time; `ValueError` if there are too few."""
    place = 0
    while place < len(target):
        piece = file.read(min(_PIECE, len(target) - place))
        if not piece:
            raise ValueError("it is cut short")
        target[place : place + len(piece)] = piece
        place += len(piece)


def _array_header(file: Any) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, order (whether Fortran's) and dtype of the array in a stream; `ValueError` if it is none."""
    magic = file.read(len(_NPY) + 2)
    if magic[: len(_ZIP)] == _ZIP:
        raise ValueError("an .npz archive, expected a single array")
    if magic[: len(_NPY)] != _NPY or len(magic) < len(_NPY) + 2:
        raise ValueError("it does not begin as an .npy file does")
    version = (magic[-2], magic[-1])
    if version not in _LENGTHS:
        raise ValueError(f"format version {version[0]}.{version[1]} is not supported")
    header = file.read(_LENGTHS[version].size)
    if len(header) == _LENGTHS[version].size:
        header += file.read(_LENGTHS[version].unpack(header)[0])
    try:
        shape, fortran, dtype = _described(version, header)
    except (OSError, EOFError):
        raise
    except Exception as failure:  # NumPy's parser raises many kinds, some with text of several lines
        reason = f": {str(failure).splitlines()[0]}" if isinstance(failure, ValueError) else ""
        raise ValueError(f"its header cannot be read{reason}") from None
    if any(size < 0 for size in shape):
        raise ValueError(f"its header announces the shape {list(shape)}")
    if dtype.itemsize == 0:
        raise ValueError(f"its header announces items without content ({dtype})")
    if dtype.hasobject:
        raise ValueError("it holds Python objects, which are never loaded")
    return shape, fortran, dtype


def _described(version: tuple[int, int], header: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, order and dtype by the header of an array, its length in front."""
    reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    return reader(io.BytesIO(header))
