"""How much memory a process has taken."""

from __future__ import annotations

import sys


def peak_memory() -> dict[str, int | None]:
    """Most bytes that this process has held so far.

    Returns:
        `host`: resident memory, None where the system does not tell; `device`: what PyTorch has allocated on the CUDA
        device, None where it has used none.
    """
    return {"host": _peak_resident(), "device": _peak_allocated()}


def _peak_resident() -> int | None:
    try:
        import resource  # not on Windows
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _peak_allocated() -> int | None:
    torch = sys.modules.get("torch")  # a command that has not needed it has not used a device
    if torch is None or not torch.cuda.is_initialized():
        return None
    return torch.cuda.max_memory_allocated()
