"""Check the votes of many views' masks, then time them on each device.

    python benchmarks/votes.py [--points 1000000] [--neighbors 16] [--views 100] [--masks 60] [--devices cpu cuda]
        [--json FILE]

Cameras stand around a bumpy ball of points, each of which sees the half that is turned towards it; masks are discs in
its picture. The CPU's sums are checked against a count of whole masks on some of the edges, a device's codes and sums
against the CPU's; what differs is not timed. Times are medians over the repeats, with the fastest and the slowest,
after one run that does not count, from NumPy arrays to NumPy arrays unless the row says otherwise.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numba
import numpy as np
from lib.machine import processor
from lib.options import parser_of, positive
from lib.results import Results
from lib.times import wall

from ultrafield.cameras import Cameras, Lens, Similarity
from ultrafield.cameras.projection import pixel_indices, project
from ultrafield.lift.edges import neighbor_edges
from ultrafield.lift.memberships import memberships
from ultrafield.lift.view_votes import view_votes
from ultrafield.lift.votes import mask_votes
from ultrafield.masks import MaskSet
from ultrafield.masks.hierarchy import pack_masks
from ultrafield.scene import Scene, Split, View
from ultrafield.surface import Surface

_PICTURES = 10  # distinct sets of masks; views share them
_CHECKED = 2000  # edges whose masks are counted one by one
_DISTORTION = [-0.05, 0.01, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]


def main() -> int:
    """Check and time; the exit code is 1 if a check failed."""
    parser = parser_of(__doc__)
    parser.add_argument("--points", type=positive, default=1_000_000)
    parser.add_argument("--neighbors", type=positive, default=16)
    parser.add_argument("--views", type=positive, default=100)
    parser.add_argument("--masks", type=positive, default=60)
    parser.add_argument("--size", type=positive, default=800, help="width and height of the pictures")
    parser.add_argument("--regions", type=positive, default=20_000)
    parser.add_argument("--lens", choices=("pinhole", "opencv"), default="pinhole")
    parser.add_argument("--devices", nargs="+", default=["cpu"], choices=("cpu", "cuda"))
    parser.add_argument("--repeats", type=positive, default=3)
    options = parser.parse_args()
    results = Results("votes", options)
    surface, scene = ball(options)
    edges = neighbor_edges(surface, options.neighbors)
    print(f"{processor()}, {numba.config.NUMBA_NUM_THREADS} threads")
    seen = np.mean([surface.seen_from(view).mean() for view in range(options.views)])
    print(f"{len(surface)} points, {len(edges)} edges, {options.views} views, {options.masks} masks, {seen:.0%} seen")
    expected = mask_votes(surface, edges, scene)
    right = {"cpu": counted_alike(surface, edges, scene)}
    if "cuda" in options.devices:
        right["cuda"] = same_on_device(surface, edges, scene, expected)
    print(f"{'operation':44} {'median ms':>10} {'fastest':>9} {'slowest':>9}")
    for device in options.devices:
        if right[device]:
            (time_cpu if device == "cpu" else time_cuda)(surface, edges, scene, options, results)
        else:
            print(f"{device}: differs; not timed")
    results.save()
    return 0 if all(right.values()) else 1


def time_cpu(surface: Surface, edges: np.ndarray, scene: Scene, options: argparse.Namespace, results: Results) -> None:
    """Codes alone, votes, and memberships of patches in masks."""
    report("cpu: codes", lambda: sum(view.codes.size for view in view_votes(surface, scene)), options, results)
    report("cpu: votes", lambda: mask_votes(surface, edges, scene), options, results)
    labels = np.arange(len(surface)) * options.regions // len(surface)  # points lie in the order of a coarse grid
    report("cpu: memberships", lambda: memberships(surface, scene, labels, options.regions), options, results)


def time_cuda(surface: Surface, edges: np.ndarray, scene: Scene, options: argparse.Namespace, results: Results) -> None:
    """Codes with the uploads they need, votes of codes that lie on the device, and both with all transfers."""
    import torch

    from ultrafield.lift.kernels.votes_gpu import add_votes_gpu
    from ultrafield.lift.votes_device import device_votes

    print(torch.cuda.get_device_name())
    views, ends = list(device_votes(surface, scene, "cuda")), torch.from_numpy(edges).to("cuda").int()
    sums = torch.zeros((2, len(edges)), device="cuda")

    def codes() -> None:
        for _ in device_votes(surface, scene, "cuda"):
            pass
        torch.cuda.synchronize()

    def votes() -> None:
        for view in views:
            add_votes_gpu(ends, view.codes, view.seen, view.weights, sums[0], sums[1])
        torch.cuda.synchronize()

    report("cuda: codes, left on the device", codes, options, results)
    report("cuda: votes, from and to the device", votes, options, results)
    report("cuda: votes", lambda: mask_votes(surface, edges, scene, device="cuda"), options, results)
    print(f"cuda: {torch.cuda.max_memory_allocated() / 1e9:.2f} GB at most, all views' codes among them")


def ball(options: argparse.Namespace) -> tuple[Surface, Scene]:
    """A bumpy ball of points and the scene around it."""
    rng = np.random.default_rng(0)
    away = rng.normal(size=(options.points, 3))
    away /= np.linalg.norm(away, axis=1, keepdims=True)
    voxels = np.floor(away * np.sqrt(options.points) / 8).astype(np.int64)
    away = away[np.lexsort(voxels.T[::-1])]
    points = away * (1 + 0.03 * np.sin(9 * away[:, :1]) * np.cos(8 * away[:, 1:2]))
    angles, heights = np.arange(options.views) * 2.4, np.linspace(-0.9, 0.9, options.views)  # the golden angle
    rings = np.sqrt(1 - heights**2)
    towards = np.stack([rings * np.cos(angles), rings * np.sin(angles), heights], axis=1)
    size = options.size
    focal = [0.9 * size, 0.9 * size, size / 2, size / 2]
    cameras = Cameras.pinhole(np.stack([pose(view) for view in towards]), focal, [size, size])
    if options.lens == "opencv":
        lenses = np.full(options.views, Lens.OPENCV)
        distortion = np.tile(_DISTORTION, (options.views, 1))
        cameras = Cameras(cameras.c2w, cameras.intrinsics, cameras.sizes, lenses, distortion)
    visible = np.packbits(towards @ away.T > 0, axis=1, bitorder="little")
    surface = Surface(
        points.astype(np.float32),
        away.astype(np.float32),
        np.zeros(points.shape, np.uint8),
        visible,
        np.sqrt(4 * np.pi / options.points),
    )
    sets = [discs(rng, options.masks, size) for _ in range(min(_PICTURES, options.views))]
    views = tuple(View(f"{index:03}", masks=sets[index % len(sets)]) for index in range(options.views))
    return surface, Scene("ball", Path("ball"), "made", {"train": Split(views, cameras)}, Similarity(), None)


def pose(towards: np.ndarray) -> np.ndarray:
    """Camera to world [3, 4] of a camera in this direction [3] that looks at the origin."""
    right = np.cross([0.0, 0.0, 1.0], towards)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(-towards, right), -towards, 2.5 * towards], axis=1)


def discs(rng: np.random.Generator, count: int, size: int) -> MaskSet:
    """Masks of many sizes, a few of them large; votes ask for nothing but their bits."""
    grid = np.arange(size)
    middles, radii = rng.uniform(0.1, 0.9, (count, 2)) * size, 0.3 * size * rng.random(count) ** 2 + 2
    masks = np.stack(
        [(grid[:, None] - y) ** 2 + (grid - x) ** 2 < radius**2 for (y, x), radius in zip(middles, radii, strict=True)]
    )
    return MaskSet(pack_masks(masks), masks.sum(axis=(1, 2)), np.zeros((count, count), bool), np.eye(count, dtype=bool))


def counted_alike(surface: Surface, edges: np.ndarray, scene: Scene) -> bool:
    """Whether the sums of some edges over the first views agree with counts of masks, view by view."""
    first_views = Split(scene.train.views[:_PICTURES], scene.train.normalised_cameras[:_PICTURES])
    surface, scene = (
        replace(surface, visible=surface.visible[:_PICTURES]),
        replace(scene, splits={"train": first_views}),
    )
    sums = mask_votes(surface, edges, scene)
    chosen = np.random.default_rng(1).integers(0, len(edges), _CHECKED)
    first, second = edges[chosen].T
    both, either = np.zeros(_CHECKED), np.zeros(_CHECKED)
    for index, view in enumerate(scene.train):
        height, width = view.masks.shape
        cells = pixel_indices(project(scene.train.normalised_cameras, index, surface.points)[0], width, height)
        cells[~surface.seen_from(index)] = -1
        flags = view.masks.masks().reshape(len(view.masks), -1)
        flags = np.concatenate([flags, ~flags.any(axis=0, keepdims=True)])
        weights = np.array([1 / np.sqrt(max(flag[cells[cells >= 0]].sum(), 1)) for flag in flags])
        both_seen = (cells[first] >= 0) & (cells[second] >= 0)
        one, other = flags[:, cells[first]] & both_seen, flags[:, cells[second]] & both_seen
        both += weights @ (one & other)
        either += weights @ (one | other)
    return all(np.allclose(total[chosen], count, rtol=1e-9) for total, count in zip(sums, (both, either), strict=True))


def same_on_device(surface: Surface, edges: np.ndarray, scene: Scene, sums: tuple[np.ndarray, np.ndarray]) -> bool:
    """Whether the device's codes equal the CPU's, and its sums up to rounding to float32."""
    from ultrafield.lift.votes_device import device_votes

    for one, other in zip(view_votes(surface, scene), device_votes(surface, scene, "cuda"), strict=True):
        if not np.array_equal(one.codes, other.codes.cpu().numpy().view(np.uint64)):
            return False
    on_device = mask_votes(surface, edges, scene, device="cuda")
    return all(np.allclose(ours, theirs, rtol=1e-4, atol=1e-6) for ours, theirs in zip(on_device, sums, strict=True))


def report(name: str, run: Callable[[], object], options: argparse.Namespace, results: Results) -> None:
    """Time and print one operation."""
    times = wall(run, options.repeats)
    results.add_times(name, times)
    print(f"{name:44} {times.milliseconds()}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
