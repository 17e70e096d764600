"""What a benchmark of an operation consists of: inputs, the operation, what it must give, what it must move."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

SECTOR = 32  # bytes that an NVIDIA GPU moves at least


@dataclass(frozen=True)
class Setup:
    """Where and how large.

    Attributes:
        device: Where the operations run.
        samples: Rows of the operations on samples.
        composited: Rows of those that are over in no time otherwise.
        quick: Whether everything else is small too, for a look at whether it works.
        triton: Whether the Triton kernels are asked; on the CPU that means Triton's interpreter.
    """

    device: torch.device
    samples: int
    composited: int
    quick: bool
    triton: bool

    def generator(self, seed: int) -> torch.Generator:
        """A source of random numbers on the device."""
        return torch.Generator(self.device).manual_seed(seed)

    def normal(self, *shape: int, seed: int) -> Tensor:
        """Normally distributed numbers, float32."""
        return torch.randn(shape, generator=self.generator(seed), device=self.device)

    def uniform(self, *shape: int, seed: int) -> Tensor:
        """Numbers in [0, 1), float32."""
        return torch.rand(shape, generator=self.generator(seed), device=self.device)

    def indices(self, below: int, *shape: int, seed: int) -> Tensor:
        """Integers in [0, below), int64."""
        return torch.randint(below, shape, generator=self.generator(seed), device=self.device)


@dataclass(frozen=True)
class Check:
    """One output and what it should be.

    Attributes:
        found: Any shape.
        wanted: The same shape; float64 where rounding matters.
        tolerance: Largest error allowed. The error of an entry is relative to its size plus the root mean square of
            all, as a sum that cancels keeps the rounding of its terms; 0 demands equality.
        share: Share of the entries that may be off, where rounding can decide between two right answers.
        norm: Take the norm of all differences over that of all values instead, for products that are rounded.
    """

    found: Tensor
    wanted: Tensor
    tolerance: float
    share: float = 0.0
    norm: bool = False

    def error(self) -> float:
        """The largest error, infinite if shapes differ or anything is NaN."""
        if self.found.shape != self.wanted.shape:
            return math.inf
        wanted = self.wanted.detach().double()
        gap = (self.found.detach().to(wanted.device).double() - wanted).abs().nan_to_num(nan=math.inf)
        if not gap.numel():
            return 0.0
        if self.norm:
            return float(gap.norm() / wanted.norm().clamp(min=1e-300))
        relative = (gap / (wanted.abs() + wanted.square().mean().sqrt()).clamp(min=1e-300)).flatten()
        if not self.share:
            return float(relative.max())
        return float(relative.sort().values[-1 - int(self.share * len(relative))])


Outputs = Sequence[Tensor]


@dataclass(frozen=True)
class Op:
    """An operation on inputs that are ready.

    Attributes:
        run: What is timed; returns its outputs.
        check: Compares the outputs of the first run with what they should be.
        bytes: What a run must move: inputs read once, outputs written once, unless the case says otherwise.
        ceiling: The measured bandwidth that bounds it: "memory" or "L2".
        flops: Floating-point operations of matrix products.
        products: The measured rate that bounds them: "fp32", "tf32" or "bf16".
        prepare: What each run needs beforehand, outside of the time that counts.
    """

    run: Callable[[], Outputs]
    check: Callable[[Outputs], list[Check]]
    bytes: float
    ceiling: str = "memory"
    flops: float = 0.0
    products: str = "fp32"
    prepare: Callable[[], None] | None = None


@dataclass(frozen=True)
class Case:
    """A named operation whose inputs are made when its turn comes, so that few are held at a time.

    Attributes:
        name: What the table calls it.
        size: How large its inputs are, in words.
        make: Makes inputs and operation; raises `Skipped` where that cannot be.
    """

    name: str
    size: str
    make: Callable[[], Op]


class Skipped(Exception):
    """An operation that does not exist here; the message says why."""


def compare(
    wanted: Callable[[], Outputs], *tolerances: float, share: float = 0.0, norm: bool = False
) -> Callable[[Outputs], list[Check]]:
    """A check of all outputs, one tolerance for each or one for all."""

    def check(outputs: Outputs) -> list[Check]:
        expected = wanted()
        limits = tolerances * len(expected) if len(tolerances) == 1 else tolerances
        return [Check(*item, share=share, norm=norm) for item in zip(outputs, expected, limits, strict=True)]

    return check


def row_bytes(setup: Setup, channels: int) -> int:
    """Bytes that reading one scattered row of float32 moves: on a GPU, whole sectors."""
    return 4 * channels if setup.device.type == "cpu" else math.ceil(4 * channels / SECTOR) * SECTOR


def cache(setup: Setup, size: float) -> str:
    """The ceiling of repeated reads from `size` bytes: L2 where they stay in it."""
    if setup.device.type == "cpu":
        return "memory"
    return "L2" if size <= torch.cuda.get_device_properties(setup.device).L2_cache_size else "memory"
