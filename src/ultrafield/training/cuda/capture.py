"""Steps of fixed shape recorded as CUDA graphs: the host launches one graph instead of hundreds of kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar

import torch

if TYPE_CHECKING:
    from torch.cuda import _POOL_HANDLE as PoolHandle

_Result = TypeVar("_Result")
_EAGER_CALLS = 2  # kernels are compiled and libraries warmed up before anything is recorded


def graph_pool(device: torch.device) -> PoolHandle | None:
    """Memory for the captured steps of one training; None for a CPU, which captures nothing."""
    return torch.cuda.graph_pool_handle() if device.type == "cuda" else None


class CapturedStep(Generic[_Result]):
    """A function that is called as it is at first, then recorded, then replayed.

    The function must launch the same kernels with the same arguments every time: its inputs are tensors that are
    changed in place, shapes never depend on data, and nothing waits for the device. Every call, including the first
    ones, does the function's work exactly once.

    Args:
        function: The step; it returns tensors, which every replay fills anew.
        generator: The CUDA generator it draws from.
        pool: Memory that captured steps share, from `graph_pool`; the result of one is valid until another one of the
            pool runs. None never records.
    """

    def __init__(self, function: Callable[[], _Result], *, generator: torch.Generator, pool: PoolHandle | None) -> None:
        self._function, self._generator, self._pool = function, generator, pool
        self._calls = 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._result: _Result | None = None

    def __call__(self) -> _Result:
        """Do the step once."""
        self._calls += 1
        if self._pool is None:
            return self._function()
        if self._calls <= _EAGER_CALLS:
            return self._run_aside()
        if self._graph is None:
            self._record()
        assert self._graph is not None
        self._graph.replay()
        return self._result  # type: ignore[return-value]

    def _run_aside(self) -> _Result:
        """Run on another stream, as recording will: autograd remembers streams."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            result = self._function()
        torch.cuda.current_stream().wait_stream(stream)
        return result

    def _record(self) -> None:
        self._graph = torch.cuda.CUDAGraph()
        self._graph.register_generator_state(self._generator)
        # The thread that watches over sums of several GPUs asks for events meanwhile, which is no part of the graph.
        with torch.cuda.graph(self._graph, pool=self._pool, capture_error_mode="thread_local"):
            self._result = self._function()
