"""Processes that work on the same thing, and what they add up or pass around."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import BackendError, first_line

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True)
class Group:
    """One of several processes with a device each; every one of them must make the same calls in the same order.

    Tensors lie on the process's own device and are contiguous. A group of one does nothing.

    Attributes:
        rank: Which of the processes this is; 0 leads and is the only one that writes.
        size: How many there are.
    """

    rank: int = 0
    size: int = 1

    @property
    def alone(self) -> bool:
        """Whether there is nobody else."""
        return self.size == 1

    def part(self, count: int) -> int:
        """What each process takes of `count` things, rounded up."""
        return -(-count // self.size)

    def add_up(self, tensor: Tensor) -> None:
        """Replace a tensor, in every process, by the sum of all processes' tensors."""
        if not self.alone:
            import torch.distributed as dist

            _call(lambda: dist.all_reduce(tensor, dist.ReduceOp.SUM))

    def keep_largest(self, tensor: Tensor) -> None:
        """Replace a tensor, in every process, by the largest of all processes' entries."""
        if not self.alone:
            import torch.distributed as dist

            _call(lambda: dist.all_reduce(tensor, dist.ReduceOp.MAX))

    def take_first(self, tensor: Tensor) -> None:
        """Replace a tensor, in every process, by that of the first one."""
        if not self.alone:
            import torch.distributed as dist

            _call(lambda: dist.broadcast(tensor, 0))

    def collect(self, tensor: Tensor) -> list[Tensor]:
        """Tensors of all processes, by rank; their first dimensions may differ, all else is alike."""
        if self.alone:
            return [tensor]
        import torch
        import torch.distributed as dist

        counts = torch.zeros(self.size, dtype=torch.int64, device=tensor.device)
        counts[self.rank] = len(tensor)
        self.add_up(counts)
        lengths = counts.tolist()
        padded = tensor.new_zeros((max(lengths), *tensor.shape[1:]))
        padded[: len(tensor)] = tensor
        parts = [torch.empty_like(padded) for _ in lengths]
        _call(lambda: dist.all_gather(parts, padded))
        return [part[:length] for part, length in zip(parts, lengths, strict=True)]

    def share(self, value: float, device: torch.device) -> float:
        """This process's part of the sum of all processes' values, at most 1; 1 / size if all are 0."""
        if self.alone:
            return 1.0
        import torch

        total = torch.tensor([value], dtype=torch.float64, device=device)
        self.add_up(total)
        return value / float(total) if float(total) else 1.0 / self.size


ALONE = Group()


def _call(action: Callable[[], object]) -> None:
    """Do something with the other processes.

    Raises:
        BackendError: One of them has gone, or the devices cannot reach each other.
    """
    try:
        action()
    except RuntimeError as error:
        raise BackendError(f"the GPUs' processes cannot reach each other ({first_line(error)})") from None
