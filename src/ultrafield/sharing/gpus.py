"""How many GPUs are asked for, and whether they can work together."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from ..errors import BackendError, ConfigError
from .team import Team


def check_gpus(gpus: int, device: str, *, option: str = "--gpus") -> None:
    """Raise unless so many GPUs can work together.

    Args:
        gpus: How many.
        device: "auto", "cpu" or "cuda".
        option: What asks for them, for messages.

    Raises:
        ConfigError: Not a number of GPUs, more than there are, or several of something else.
        BackendError: This PyTorch has no way to add up what lies on several GPUs.
    """
    if gpus < 1:
        raise ConfigError(f"{option}: expected at least 1, got {gpus}")
    if gpus == 1:
        return
    import torch

    if device not in ("auto", "cuda"):
        raise ConfigError(f"{option}: {gpus} GPUs cannot work on the device {device!r}")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if count < gpus:
        there = {0: "no CUDA device", 1: "1 CUDA device"}.get(count, f"{count} CUDA devices")
        raise ConfigError(f"{option}: this PyTorch sees {there}, not {gpus}")
    if not torch.distributed.is_available() or not torch.distributed.is_nccl_available():
        raise BackendError(f"{option}: several GPUs need a PyTorch with NCCL")


def gpu_team(gpus: int, device: str, *, option: str = "--gpus") -> AbstractContextManager[Team | None]:
    """The team of so many GPUs, None for one; arguments and errors are those of `check_gpus`."""
    check_gpus(gpus, device, option=option)
    return nullcontext() if gpus == 1 else Team([f"cuda:{index}" for index in range(gpus)])
