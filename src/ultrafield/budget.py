"""Memory that the program may take, and the size of what it reads."""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress
from functools import cache
from pathlib import Path

from .errors import ConfigError

_GIB = 1 << 30
_MOST_PIXELS = 64_000_000  # of a picture; cameras of today have 12 to 50 million
_MOST_BYTES = _GIB  # of an array or archive, once decoded
_BYTES_PER_PIXEL = 24  # working memory while a picture is decoded, blended and resampled
_UNKNOWN = 8 * _GIB  # taken for a machine that does not tell its memory
_CGROUP_FILES = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))

_chosen: int | None = None


def limit_memory(gibibytes: float | None) -> None:
    """Set what the program may take, for the rest of the process.

    Args:
        gibibytes: GiB; None for half of the machine's memory.

    Raises:
        ConfigError: Less than half a GiB, or no number.
    """
    global _chosen
    if gibibytes is not None and not 0.5 <= gibibytes <= 1 << 20:
        raise ConfigError(f"expected from 0.5 to {1 << 20} GiB, got {gibibytes:g}", setting="memory")
    _chosen = None if gibibytes is None else int(gibibytes * _GIB)


def memory() -> int:
    """Bytes that the program may take: what was chosen, else half of the machine's (or container's) memory."""
    return _chosen if _chosen is not None else machine_memory() // 2


@cache
def machine_memory() -> int:
    """Bytes of memory of the machine, or of the container if that has fewer; asked once in a process."""
    try:
        physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows
        physical = _UNKNOWN
    return min([physical, *map(_cgroup_limit, _CGROUP_FILES)])


def pixel_limit() -> int:
    """Most pixels of a picture that is decoded: 64 million, other numbers if memory was chosen or is scarce."""
    affordable = memory() // _BYTES_PER_PIXEL
    return affordable if _chosen is not None else min(_MOST_PIXELS, affordable)


def pixel_fault(width: int, height: int) -> str | None:
    """What is wrong with a picture that declares more pixels than the limit, None if it does not."""
    if width * height <= pixel_limit():
        return None
    most = f"{pixel_limit() / 1e6:.0f} million"
    return f"{width}x{height} pixels, more than {most}; a larger --memory raises the limit"


def array_limit() -> int:
    """Most bytes of a decoded array or archive: 1 GiB, or half of the chosen memory if that is more."""
    return _MOST_BYTES if _chosen is None else max(_MOST_BYTES, _chosen // 2)


def release_memory() -> None:
    """Give back to the system what has been freed; the C library of Linux keeps much of it for later."""
    with suppress(AttributeError, OSError, TypeError):  # other C libraries give back by themselves, or cannot be asked
        ctypes.CDLL(None).malloc_trim(0)


def _cgroup_limit(file: Path) -> int:
    try:
        text = file.read_text().strip()
    except (OSError, ValueError):
        return 1 << 62
    return int(text) if text.isdigit() and int(text) > 0 else 1 << 62
