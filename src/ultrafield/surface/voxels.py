"""Pixels of many views summed into voxels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ..parallel import in_threads, workers_for
from .shells import spacings

_ROWS_BEFORE_MERGE = 1 << 21
_SAMPLE = 1 << 12  # voxels, about, that tell how to divide all of them evenly
SPARE = 2  # times as many voxels as wanted are kept while views are still to come


@dataclass(frozen=True)
class VoxelSums:
    """Sums over the pixels in each occupied voxel.

    Attributes:
        table: [K, 11], float64: position, normal, colour, footprint (all summed) and the number of pixels; in the
            lexicographic order of the voxels.
        voxel: Edge of a voxel within the inner box.
        inner: Half the edge of that box, outside of which voxels grow; see `shells`.
    """

    table: np.ndarray
    voxel: float
    inner: float = np.inf

    def __len__(self) -> int:
        return len(self.table)

    @property
    def edges(self) -> np.ndarray:
        """Edge of each voxel [K]."""
        return spacings(self.means(0, 3), self.voxel, self.inner)

    def means(self, first: int, last: int) -> np.ndarray:
        """Mean of columns first … last − 1 [K, last − first]."""
        return self.table[:, first:last] / self.table[:, 10:]


def voxel_keys(rows: np.ndarray, voxel: float, inner: float = np.inf) -> np.ndarray:
    """A number for the voxel of each row's mean position [P], int64, ordered like the voxels; −1 out of reach.

    Outside of the box of half edge `inner` voxels are larger, and their number is that of their first small one.
    """
    from .kernels.voxels_cpu import row_keys

    keys = np.empty(len(rows), np.int64)
    row_keys(rows, float(voxel), float(inner), keys)
    return keys


def thin(parts: Sequence[np.ndarray], voxel: float, inner: float = np.inf, *, workers: int = 1) -> VoxelSums:
    """Sum rows whose mean positions share a voxel; rows beyond 2^20 voxels from the origin are dropped.

    Rows are added in their order, which makes the sums the same for any number of threads and parts: each thread adds
    up a range of voxels of its own.

    Args:
        parts: Rows [P, 11] each, all of them after one another.
        voxel: Edge of the voxels.
        inner: Half the edge of the box outside of which they grow.
        workers: Threads.
    """
    from .kernels.voxels_cpu import FIRST, add_rows, no_sums

    keys = list(in_threads(lambda part: voxel_keys(part, voxel, inner), parts, workers=workers))
    every = max(1, sum(map(len, parts)) // _SAMPLE)
    sample = np.sort(np.concatenate([part[::every] for part in keys])) if keys else np.zeros(0, np.int64)
    dividers = sample[len(sample) * np.arange(1, workers) // workers] if len(sample) else sample
    bounds = [0, *np.maximum(dividers, 0).tolist(), np.iinfo(np.int64).max]

    def summed(slab: int) -> np.ndarray:
        state = (0, *no_sums(FIRST))
        for rows, own in zip(parts, keys, strict=True):
            state = add_rows(rows, own, bounds[slab], bounds[slab + 1], *state)
        count, numbers, sums, _ = state
        return np.take(sums, np.argsort(numbers[:count]), axis=0)

    return VoxelSums(np.concatenate(list(in_threads(summed, range(len(bounds) - 1), workers=workers))), voxel, inner)


def fuse(rows: Iterable[np.ndarray], voxel: float, inner: float = np.inf, *, most: int | None = None) -> VoxelSums:
    """Sum the rows [P, 11] of every view, thinned to its own voxels, into common ones, holding few views' at a time.

    Args:
        rows: Rows of each view.
        voxel: Edge of the voxels.
        inner: Half the edge of the box outside of which they grow.
        most: How many voxels may be occupied in the end; the voxels are enlarged until no more are. None keeps their
            size. Large pictures have many more pixels than that, so they are enlarged on the way already.
    """
    from .kernels.patches_cpu import COLUMNS

    sums, workers = VoxelSums(np.zeros((0, COLUMNS)), voxel, inner), workers_for(0)
    waiting: list[np.ndarray] = []
    for part in rows:
        waiting.append(part)
        if len(sums) + sum(len(table) for table in waiting) > _ROWS_BEFORE_MERGE:
            sums, waiting = thin([sums.table, *waiting], sums.voxel, inner, workers=workers), []
            if most is not None and len(sums) > SPARE * most:
                sums = coarsen(sums, most)
    sums = thin([sums.table, *waiting], sums.voxel, inner, workers=workers)
    return sums if most is None else coarsen(sums, most)


def coarsen(sums: VoxelSums, most: int) -> VoxelSums:
    """Enlarge the voxels until at most `most` are occupied; their number falls with the square of the edge."""
    while len(sums) > most:
        enlarged = sums.voxel * max(1.02, float(np.sqrt(len(sums) / most)))
        sums = thin([sums.table], enlarged, sums.inner, workers=workers_for(0))
    return sums
