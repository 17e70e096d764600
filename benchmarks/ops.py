"""Check every hot operation against its plain PyTorch form, then time it.

    python benchmarks/ops.py [--samples 65536] [--repeats 21] [--device cpu]

An operation whose result differs is reported and not timed. Times are medians over the repeats, with the fastest and
the slowest; "us/sample" is the median over the samples.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor

from ultrafield.config import HashGridConfig
from ultrafield.field.hashgrid import HashGrid, encode
from ultrafield.field.kernels.hashgrid_torch import encode_torch
from ultrafield.field.kernels.volrend_torch import accumulate_torch, distortion_torch, render_weights_torch
from ultrafield.field.occupancy import OccupancyGrid, march, step_edges
from ultrafield.field.volrend import accumulate, distortion, render_weights

Run = Callable[[], tuple[Tensor, ...]]


def main() -> int:
    """Check and time; the exit code is 1 if a check failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=1 << 16)
    parser.add_argument("--repeats", type=int, default=21)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    options = parser.parse_args()
    machine = platform.processor() or platform.machine()
    print(f"{machine}, {torch.get_num_threads()} threads, torch {torch.__version__}, {options.device}")
    print(f"{options.samples} samples")
    print(f"{'operation':28} {'median ms':>10} {'fastest':>9} {'slowest':>9} {'us/sample':>10} {'PyTorch us':>11}")
    failed = [
        name
        for name, ours, plain in operations(options.samples, options.device)
        if not report(name, ours, plain, options)
    ]
    for name in failed:
        print(f"{name}: differs from plain PyTorch; not timed")
    return 1 if failed else 0


def operations(samples: int, device: str) -> list[tuple[str, Run, Run | None]]:
    """Name, operation and plain form of everything that is timed."""
    generator = torch.Generator().manual_seed(0)
    grid = HashGrid(HashGridConfig(), generator=generator)
    with torch.no_grad():
        grid.table.normal_(generator=generator)
    table = grid.table.detach().to(device).requires_grad_()
    # Samples along rays, as training has them: 32 in a row lie close together.
    start, along = torch.rand(samples // 32, 1, 3, generator=generator), torch.linspace(0, 1, 32)[None, :, None]
    x = start + 0.2 * along * torch.randn(samples // 32, 1, 3, generator=generator)
    x = x.clamp(0, 1).reshape(-1, 3).to(device)
    upstream = torch.randn(len(x), grid.layout.channels, generator=generator).to(device)

    def encoding(op: Callable[..., Tensor], *, backward: bool) -> Run:
        def run() -> tuple[Tensor, ...]:
            if not backward:
                with torch.no_grad():
                    return (op(x, table, grid.layout),)
            return torch.autograd.grad(op(x, table, grid.layout), table, upstream)

        return run

    offsets = torch.arange(0, len(x) + 1, 32, device=device)
    sigma = (torch.rand(len(x), generator=generator) * 30).to(device).requires_grad_()
    delta = torch.full((len(x),), 0.01, device=device)
    position, values = (
        torch.linspace(0, 1, len(x), device=device),
        torch.rand(len(x), 5, generator=generator).to(device),
    )

    def rendering(ops: tuple[Callable[..., Tensor], ...]) -> Run:
        def run() -> tuple[Tensor, ...]:
            weights = ops[0](sigma, delta, offsets)
            sums, spread = ops[1](weights, values, offsets), ops[2](weights, position, delta, offsets)
            return torch.autograd.grad(sums.sum() + spread.sum(), sigma)

        return run

    return [
        ("encode", encoding(encode, backward=False), encoding(encode_torch, backward=False)),
        ("encode + gradient", encoding(encode, backward=True), encoding(encode_torch, backward=True)),
        (
            "composite + gradient",
            rendering((render_weights, accumulate, distortion)),
            rendering((render_weights_torch, accumulate_torch, distortion_torch)),
        ),
        ("march", marching(len(x), device, generator), None),
    ]


def marching(samples: int, device: str, generator: torch.Generator) -> Run:
    """March rays through a ball-shaped occupancy until about `samples` samples are found."""
    occupancy = OccupancyGrid(cascades=1, resolution=64)
    axis = (torch.arange(64) + 0.5) / 64 - 0.5
    ball = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1).norm(dim=-1)
    occupancy.occupied.copy_(((ball > 0.25) & (ball < 0.3)).reshape(1, -1))
    count = samples // 16
    origins = 1.5 * torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=1)
    aims = torch.rand(count, 3, generator=generator) * 0.5 - 0.25
    directions = torch.nn.functional.normalize(aims - origins, dim=1)
    occupancy, edges = occupancy.to(device), step_edges(0.01, 2.4, 3**0.5 / 256, 0.0).to(device)
    origins, directions = origins.to(device), directions.to(device)
    return lambda: (march(origins, directions, occupancy, edges)[0].t,)


def report(name: str, ours: Run, plain: Run | None, options: argparse.Namespace) -> bool:
    """Check, time and print one operation; returns whether the check passed."""
    if plain is not None:
        for one, other in zip(ours(), plain(), strict=True):
            if not torch.allclose(one, other, rtol=1e-3, atol=1e-3):
                return False
    times = seconds(ours, options)
    other = (
        f"{statistics.median(seconds(plain, options)) / options.samples * 1e6:11.2f}"
        if plain is not None
        else f"{'':>11}"
    )
    median = statistics.median(times)
    print(f"{name:28} {median * 1e3:10.2f} {min(times) * 1e3:9.2f} {max(times) * 1e3:9.2f} "
          f"{median / options.samples * 1e6:10.3f} {other}")  # fmt: skip
    return True


def seconds(run: Run, options: argparse.Namespace) -> list[float]:
    """Wall time of each repeat, after three that do not count."""
    times = []
    for repeat in range(options.repeats + 3):
        begin = time.perf_counter()
        run()
        if options.device == "cuda":
            torch.cuda.synchronize()
        if repeat >= 3:
            times.append(time.perf_counter() - begin)
    return times


if __name__ == "__main__":
    sys.exit(main())
