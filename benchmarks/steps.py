"""Milliseconds of a training step, and the kernels that they go to.

    python benchmarks/steps.py SCENE [--device auto] [--preset standard] [--geometry 1500] [--features 500] [--profile]
        [--json FILE]

Geometry first, then features on it. Steps are timed in blocks of 50; in the first one kernels are compiled and
recorded. "--profile" adds the kernels of 20 late steps.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from lib.options import DEVICES, PRESETS, parser_of, positive
from lib.results import Results
from lib.times import Times

from ultrafield.config import preset
from ultrafield.scene import load_scene
from ultrafield.training import resolve_device
from ultrafield.training.trainers import feature_trainer, geometry_trainer

_BLOCK = 50


def main() -> int:
    """Train both fields and print the table."""
    parser = parser_of(__doc__)
    parser.add_argument("scene", type=Path)
    parser.add_argument("--device", default="auto", choices=DEVICES)
    parser.add_argument("--preset", default="standard", choices=PRESETS)
    parser.add_argument("--geometry", type=positive, default=1500)
    parser.add_argument("--features", type=positive, default=500)
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    results = Results("steps", options)
    device, scene, config = resolve_device(options.device), load_scene(options.scene), preset(options.preset)
    config = replace(
        config,
        engine="field",
        geometry=replace(config.geometry, steps=options.geometry),
        features=replace(config.features, steps=options.features),
    )
    first = geometry_trainer(scene, config, device)
    measure("geometry", first.step, options.geometry, device, results, profile=options.profile)
    if hasattr(first, "live_rays"):
        print(f"rays of the last step: {int(first.live_rays)}")
    started = time.perf_counter()
    second = feature_trainer(first.field, scene, config, device, progress=False)
    print(f"surface cache and masks: {time.perf_counter() - started:.2f} s")
    measure("features", second.step, options.features, device, results, profile=options.profile)
    results.save()
    return 0


def measure(
    name: str, step: Callable[[int], dict], steps: int, device: torch.device, results: Results, *, profile: bool
) -> None:
    """Train for `steps` steps and print the time of one."""
    done, blocks, began = 0, [], time.perf_counter()
    losses: dict[str, torch.Tensor] = {}
    while done < steps:
        started = time.perf_counter()
        count = min(_BLOCK, steps - done)
        for _ in range(count):
            losses = step(done)
            done += 1
        _wait(device)
        blocks.append((time.perf_counter() - started) / count)
    late = Times(blocks[len(blocks) // 2 :])
    peak_bytes = torch.cuda.max_memory_allocated() if device.type == "cuda" else None
    results.add_times(f"{name} step", late, first=blocks[0], steps=steps, peak_device_bytes=peak_bytes)
    values = ", ".join(f"{key} {float(value.detach()):.4g}" for key, value in losses.items())
    peak = "" if peak_bytes is None else f", peak {peak_bytes / 2**30:.2f} GiB"
    median, fastest, slowest = (1e3 * seconds for seconds in (late.median, late.fastest, late.slowest))
    print(
        f"{name}: {steps} steps in {time.perf_counter() - began:.1f} s, "
        f"first {min(_BLOCK, steps)}: {1e3 * blocks[0]:.2f} ms a step, "
        f"second half: median {median:.3f} ms ({fastest:.3f} … {slowest:.3f}){peak}; {values}",
        flush=True,
    )
    if profile:
        _profile(step, steps, device)


def _profile(step: Callable[[int], dict], steps: int, device: torch.device) -> None:
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as recording

    activity = ProfilerActivity.CUDA if device.type == "cuda" else ProfilerActivity.CPU
    with recording(activities=[activity]) as record:
        for extra in range(20):
            step(steps + extra)
        _wait(device)
    key = "self_cuda_time_total" if device.type == "cuda" else "self_cpu_time_total"
    print(record.key_averages().table(sort_by=key, row_limit=40, max_name_column_width=70))


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    sys.exit(main())
