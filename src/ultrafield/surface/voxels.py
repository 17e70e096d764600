"""Pixels of many views summed into voxels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ..parallel import in_threads, workers_for
from .shells import spacings

COLUMNS = 11  # x y z, nx ny nz, r g b, footprint, count
_CELLS = 1 << 20  # 21 bits per axis, half of them on either side of the origin
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


def voxel_keys(points: np.ndarray, voxel: float, inner: float = np.inf) -> tuple[np.ndarray, np.ndarray]:
    """A number for the voxel of each point [P], int64, ordered like the voxels, and whether it is within reach [P].

    Outside of the box of half edge `inner` voxels are larger, and their number is that of their first small one.
    """
    if np.isinf(inner):
        cells: np.ndarray = np.floor(points / voxel)
    else:
        edges = spacings(points, voxel, inner)[:, None]
        cells = np.floor(points / edges) * (edges / voxel)
    within = np.asarray((np.abs(cells) < _CELLS).all(axis=1))
    x, y, z = (np.where(within[:, None], cells, 0).astype(np.int64) + _CELLS).T
    return (x << 42) | (y << 21) | z, within


def thin(rows: np.ndarray, voxel: float, inner: float = np.inf, *, workers: int = 1) -> VoxelSums:
    """Sum rows [P, 11] whose mean positions share a voxel; rows beyond 2^20 voxels from the origin are dropped.

    The sums are the same for any number of threads: each sorts and adds up a range of voxels of its own.
    """
    parts = np.array_split(rows, workers)
    keys = np.concatenate(list(in_threads(lambda part: _keys_within(part, voxel, inner), parts, workers=workers)))
    sample = np.sort(keys[:: max(1, len(keys) // _SAMPLE)])
    dividers = sample[len(sample) * np.arange(1, workers) // workers] if len(sample) else sample
    bounds = np.array([0, *np.maximum(dividers, 0), np.iinfo(np.int64).max])

    def summed(slab: int) -> np.ndarray:
        own = np.flatnonzero((keys >= bounds[slab]) & (keys < bounds[slab + 1]))
        return _group_sums(rows, keys, own if len(own) < len(keys) else None)

    return VoxelSums(np.concatenate(list(in_threads(summed, range(len(bounds) - 1), workers=workers))), voxel, inner)


def _group_sums(rows: np.ndarray, keys: np.ndarray, own: np.ndarray | None) -> np.ndarray:
    """Sums of the rows of equal key, ascending, of all rows or of those with some indices."""
    # Stable, as sums must not depend on anything but the order of the rows.
    order = np.argsort(keys if own is None else keys[own], kind="stable")
    order = order if own is None else own[order]
    starts = np.flatnonzero(np.diff(keys[order], prepend=-1))
    return np.add.reduceat(np.take(rows, order, axis=0), starts, axis=0) if len(starts) else rows[:0]


def _keys_within(rows: np.ndarray, voxel: float, inner: float) -> np.ndarray:
    """The voxel of each row [P], int64; −1 for one out of reach."""
    keys, within = voxel_keys(rows[:, :3] / rows[:, 10:], voxel, inner)
    return np.where(within, keys, -1)


def fuse(rows: Iterable[np.ndarray], voxel: float, inner: float = np.inf, *, most: int | None = None) -> VoxelSums:
    """Sum the rows [P, 11] of every view, thinned to its own voxels, into common ones, holding few views' at a time.

    Args:
        rows: Rows of each view.
        voxel: Edge of the voxels.
        inner: Half the edge of the box outside of which they grow.
        most: How many voxels may be occupied in the end; the voxels are enlarged until no more are. None keeps their
            size. Large pictures have many more pixels than that, so they are enlarged on the way already.
    """
    sums, workers = VoxelSums(np.zeros((0, COLUMNS)), voxel, inner), workers_for(0)
    waiting: list[np.ndarray] = []
    for part in rows:
        waiting.append(part)
        if len(sums) + sum(len(table) for table in waiting) > _ROWS_BEFORE_MERGE:
            sums, waiting = thin(np.concatenate([sums.table, *waiting]), sums.voxel, inner, workers=workers), []
            if most is not None and len(sums) > SPARE * most:
                sums = coarsen(sums, most)
    sums = thin(np.concatenate([sums.table, *waiting]), sums.voxel, inner, workers=workers)
    return sums if most is None else coarsen(sums, most)


def coarsen(sums: VoxelSums, most: int) -> VoxelSums:
    """Enlarge the voxels until at most `most` are occupied; their number falls with the square of the edge."""
    while len(sums) > most:
        enlarged = sums.voxel * max(1.02, float(np.sqrt(len(sums) / most)))
        sums = thin(sums.table, enlarged, sums.inner, workers=workers_for(0))
    return sums
