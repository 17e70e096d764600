"""The machine that a benchmark runs on."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_PACKAGES = ("numpy", "numba", "torch", "triton", "higra")


def processor() -> str:
    """The processor's name where Linux tells it, else its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def cores() -> int:
    """Logical processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def numba_threads() -> int:
    """Threads of numba's kernels."""
    import numba

    return numba.get_num_threads()


def gpu() -> str | None:
    """Name of the current CUDA device; None if there is none or this process has not imported PyTorch."""
    torch = sys.modules.get("torch")
    return torch.cuda.get_device_name() if torch is not None and torch.cuda.is_available() else None


def package_version(name: str) -> str:
    """Version of an installed distribution, or "unknown version"."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "unknown version"


def describe() -> dict[str, Any]:
    """All of it, for JSON files."""
    return {
        "processor": processor(),
        "cores": cores(),
        "numba_threads": numba_threads(),
        "gpu": gpu(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: package_version(name) for name in ("ultrafield", *_PACKAGES)},
    }
