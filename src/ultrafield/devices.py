"""Where to compute: one way to name a device, for Python and the command line."""

from __future__ import annotations

import ctypes
import os
import threading
from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec
from typing import TYPE_CHECKING

from .errors import BackendError

if TYPE_CHECKING:
    import torch

_EXPECTED = "expected auto, cpu, cuda, a numbered CUDA device such as cuda:1, or a torch.device"


def resolve_device(device: str | torch.device = "auto") -> torch.device:
    """Look up a device by name and make sure that it can be used.

    Args:
        device: "auto" (CUDA if PyTorch sees a CUDA device and Triton is installed, the CPU otherwise), "cpu", "cuda",
            "cuda:1", or a `torch.device`.

    Returns:
        The device; for "cuda" without a number, PyTorch's current CUDA device.

    Raises:
        ValueError: The name is none of these.
        TypeError: `device` is neither a string nor a `torch.device`.
        BackendError: CUDA was asked for by name and cannot run here.
    """
    import torch

    if not isinstance(device, str | torch.device):
        raise TypeError(f"device: {_EXPECTED}, got {type(device).__name__}")
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() and _has_triton() else "cpu")
    try:
        target = torch.device(device)
    except RuntimeError:
        raise ValueError(f"device: {_EXPECTED}, got {device!r}") from None
    if target.type not in ("cpu", "cuda"):
        raise ValueError(f"device: {_EXPECTED}, got {str(device)!r}")
    if target.type == "cuda":
        _check_cuda(target)
    return target


def device_name(device: str | torch.device) -> str:
    """The name of what `resolve_device` finds, "cpu" for every CPU, without importing PyTorch for "cpu"."""
    target = None if device == "cpu" else resolve_device(device)
    return "cpu" if target is None or target.type == "cpu" else str(target)


def current_device(device: torch.device) -> AbstractContextManager[object]:
    """Make a CUDA device PyTorch's current one within a block: the one on which Triton launches kernels."""
    import torch

    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


def wake_driver() -> bool:
    """Start CUDA's driver on Linux without PyTorch, and in the background its context on the first device.

    PyTorch finds both as they would be if it had begun: the context is the one that the whole process shares.

    Returns:
        Whether there is a CUDA device, as far as the driver knows; PyTorch may still be unable to use it.
    """
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:  # there is none, or another system
        return False
    os.environ.setdefault("CUDA_MODULE_LOADING", "LAZY")  # as PyTorch does; the driver reads it only now
    count = ctypes.c_int()
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0 or count.value == 0:
        return False
    context, first = ctypes.c_void_p(), ctypes.c_int(0)
    threading.Thread(
        target=driver.cuDevicePrimaryCtxRetain, args=(ctypes.byref(context), first), daemon=True, name="driver"
    ).start()
    return True


def _check_cuda(device: torch.device) -> None:
    import torch

    if not torch.cuda.is_available():
        raise BackendError(f"device {str(device)!r}: this PyTorch sees no CUDA device; use cpu")
    if not _has_triton():
        raise BackendError(f"device {str(device)!r}: the kernels need Triton; pip install triton, or use cpu")
    count = torch.cuda.device_count()
    if device.index is not None and device.index >= count:
        raise BackendError(
            f"device {str(device)!r}: this PyTorch sees {count} CUDA devices, cuda:0 to cuda:{count - 1}"
        )


def _has_triton() -> bool:
    return find_spec("triton") is not None
