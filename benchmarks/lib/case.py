"""Cases of `ops.py`: an operation, the check of its outputs, the bytes and products that bound its time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

SECTOR = 32  # bytes of the smallest transfer between the memory and an NVIDIA GPU


@dataclass(frozen=True)
class Setup:
    """Device and sizes of all cases.

    Attributes:
        device: Where the operations run.
        samples: Rows of the operations on samples.
        composited: Rows of compositing, which needs more of them for a time that can be measured.
        quick: Whether all other sizes are small too: a trial run.
        triton: Whether the Triton kernels are timed; on the CPU, in Triton's interpreter.
    """

    device: torch.device
    samples: int
    composited: int
    quick: bool
    triton: bool

    def generator(self, seed: int) -> torch.Generator:
        """Random generator on the device."""
        return torch.Generator(self.device).manual_seed(seed)

    def normal(self, *shape: int, seed: int) -> Tensor:
        """Normally distributed numbers of this shape, float32."""
        return torch.randn(shape, generator=self.generator(seed), device=self.device)

    def uniform(self, *shape: int, seed: int) -> Tensor:
        """Uniform numbers in [0, 1) of this shape, float32."""
        return torch.rand(shape, generator=self.generator(seed), device=self.device)

    def indices(self, below: int, *shape: int, seed: int) -> Tensor:
        """Uniform integers in [0, below) of this shape, int64."""
        return torch.randint(below, shape, generator=self.generator(seed), device=self.device)


@dataclass(frozen=True)
class Check:
    """An output and its expected value.

    Attributes:
        output: Any shape.
        expected: The same shape; float64 where rounding matters.
        tolerance: Largest error allowed; 0 demands equality. The error of an entry is relative to its size plus the
            root mean square of all entries, since a sum whose terms cancel keeps their rounding.
        share: Share of the entries that may exceed the tolerance, where rounding decides between two right answers.
        norm: Compare the norm of all differences with that of all values instead, for products of rounded factors.
    """

    output: Tensor
    expected: Tensor
    tolerance: float
    share: float = 0.0
    norm: bool = False

    def error(self) -> float:
        """Largest error; infinite if shapes differ or anything is NaN."""
        if self.output.shape != self.expected.shape:
            return math.inf
        expected = self.expected.detach().double()
        gap = (self.output.detach().to(expected.device).double() - expected).abs().nan_to_num(nan=math.inf)
        if not gap.numel():
            return 0.0
        if self.norm:
            return float(gap.norm() / expected.norm().clamp(min=1e-300))
        relative = (gap / (expected.abs() + expected.square().mean().sqrt()).clamp(min=1e-300)).flatten()
        if not self.share:
            return float(relative.max())
        return float(relative.sort().values[-1 - int(self.share * len(relative))])


Outputs = Sequence[Tensor]


@dataclass(frozen=True)
class Op:
    """An operation on given inputs.

    Attributes:
        run: The timed call; returns its outputs.
        check: Compares the outputs of the first run with their expected values.
        bytes: Bytes a run must move: inputs read once, outputs written once, unless the case says otherwise.
        ceiling: The measured bandwidth that bounds it: "memory" or "L2".
        flops: Floating-point operations of matrix products.
        products: The measured rate that bounds them: "fp32", "tf32" or "bf16".
        prepare: Called before each run, outside of the measured time.
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
    """A named operation; its inputs are made just before it runs, so that memory holds those of one case only.

    Attributes:
        name: Name in the table.
        size: Size of the inputs, in words.
        make: Makes inputs and operation; raises `Skipped` if the operation does not exist here.
    """

    name: str
    size: str
    make: Callable[[], Op]


class Skipped(Exception):
    """The operation does not exist here; the message says why."""


def compare(
    reference: Callable[[], Outputs], *tolerances: float, share: float = 0.0, norm: bool = False
) -> Callable[[Outputs], list[Check]]:
    """A check of all outputs against those of `reference`, with one tolerance for each or one for all."""

    def check(outputs: Outputs) -> list[Check]:
        expected = reference()
        limits = tolerances * len(expected) if len(tolerances) == 1 else tolerances
        return [Check(*item, share=share, norm=norm) for item in zip(outputs, expected, limits, strict=True)]

    return check


def row_bytes(setup: Setup, channels: int) -> int:
    """Bytes moved by reading one scattered row of float32: on a GPU, whole sectors."""
    return 4 * channels if setup.device.type == "cpu" else math.ceil(4 * channels / SECTOR) * SECTOR


def cache(setup: Setup, size: float) -> str:
    """Name of the bandwidth that bounds repeated reads from `size` bytes: L2 if they fit into it."""
    if setup.device.type == "cpu":
        return "memory"
    return "L2" if size <= torch.cuda.get_device_properties(setup.device).L2_cache_size else "memory"
