"""What the machine can do at best, measured: bandwidths and rates of matrix products."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from .timing import Stopwatch


@dataclass(frozen=True)
class Ceilings:
    """Measured rates.

    Attributes:
        bandwidths: Bytes per second by name: "memory", and on CUDA "L2".
        products: Floating-point operations per second of matrix products by precision: "fp32", and on CUDA "tf32" and
            "bf16".
    """

    bandwidths: dict[str, float]
    products: dict[str, float]

    def describe(self) -> list[str]:
        """One sentence per rate."""
        bandwidths = [f"{name}: {rate / 1e9:,.0f} GB/s" for name, rate in self.bandwidths.items()]
        return bandwidths + [f"{name} products: {rate / 1e12:,.2f} TFLOP/s" for name, rate in self.products.items()]


def measure(device: torch.device, stopwatch: Stopwatch, *, quick: bool) -> Ceilings:
    """Measure the ceilings of a device; medians, as for the operations.

    A copy of a large buffer counts what is read and what is written; a product of n×n matrices counts 2 n³.
    """
    if device.type == "cpu":
        return Ceilings(
            {"memory": _copy_cpu(stopwatch, 16 << 20 if quick else 256 << 20)},
            {"fp32": _product_cpu(stopwatch, 1024 if quick else 2048)},
        )
    from .ceilings_gpu import l2_bandwidth  # Triton exists only beside CUDA builds

    bandwidths = {"memory": _copy_cuda(device, stopwatch, 1 << 30), "L2": l2_bandwidth(device, stopwatch)}
    size = 2048 if quick else 8192
    products = {name: _product_cuda(device, stopwatch, size, name) for name in ("fp32", "tf32", "bf16")}
    return Ceilings(bandwidths, products)


def _copy_cpu(stopwatch: Stopwatch, size: int) -> float:
    source = np.random.default_rng(0).random(size // 4, np.float32)
    target = np.empty_like(source)
    return 2 * source.nbytes / stopwatch(lambda: np.copyto(target, source)).median


def _product_cpu(stopwatch: Stopwatch, size: int) -> float:
    one, other = np.random.default_rng(0).random((2, size, size), np.float32)
    return 2 * size**3 / stopwatch(lambda: one @ other).median


def _copy_cuda(device: torch.device, stopwatch: Stopwatch, size: int) -> float:
    source = torch.rand(size // 4, device=device)
    target = torch.empty_like(source)
    return 2 * size / stopwatch(lambda: target.copy_(source)).median


def _product_cuda(device: torch.device, stopwatch: Stopwatch, size: int, precision: str) -> float:
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    one, other = torch.rand((2, size, size), device=device).to(dtype)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    try:
        return 2 * size**3 / stopwatch(lambda: one @ other).median
    finally:
        torch.set_float32_matmul_precision(before)
