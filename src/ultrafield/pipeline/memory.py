"""How much memory a process has taken."""

from __future__ import annotations

import gc
import sys
from contextlib import suppress

from ..budget import release_memory

_PEAK_RESET = ("/proc/self/clear_refs", "5")  # Linux: what is held now counts as the most so far


def peak_memory() -> dict[str, int | None]:
    """Most bytes that this process has held so far.

    Returns:
        `host`: resident memory, None where the system does not tell; `device`: what PyTorch has allocated on the CUDA
        device, None where it has used none.
    """
    return {"host": _peak_resident(), "device": _peak_allocated()}


def give_back_memory() -> None:
    """Give back what the next job in this process, or another process on the device, may need; peaks begin anew."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    release_memory()
    file, order = _PEAK_RESET
    with suppress(OSError), open(file, "w") as control:
        control.write(order)


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
