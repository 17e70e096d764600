"""Pixels of many views summed into voxels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

COLUMNS = 11  # x y z, nx ny nz, r g b, footprint, count
_CELLS = 1 << 20  # 21 bits per axis, half of them on either side of the origin
_ROWS_BEFORE_MERGE = 1 << 21
SPARE = 2  # times as many voxels as wanted are kept while views are still to come


@dataclass(frozen=True)
class VoxelSums:
    """Sums over the pixels in each occupied voxel.

    Attributes:
        table: [K, 11], float64: position, normal, colour, footprint (all summed) and the number of pixels; in the
            lexicographic order of the voxels.
        voxel: Edge of a voxel.
    """

    table: np.ndarray
    voxel: float

    def __len__(self) -> int:
        return len(self.table)

    def means(self, first: int, last: int) -> np.ndarray:
        """Mean of columns first … last − 1 [K, last − first]."""
        return self.table[:, first:last] / self.table[:, 10:]


def voxel_keys(points: np.ndarray, voxel: float) -> tuple[np.ndarray, np.ndarray]:
    """A number for the voxel of each point [P], int64, ordered like the voxels, and whether it is within reach [P]."""
    cells = np.floor(points / voxel)
    within = (np.abs(cells) < _CELLS).all(axis=1)
    x, y, z = (np.where(within[:, None], cells, 0).astype(np.int64) + _CELLS).T
    return (x << 42) | (y << 21) | z, within


def thin(rows: np.ndarray, voxel: float) -> VoxelSums:
    """Sum rows [P, 11] whose mean positions share a voxel; rows beyond 2^20 voxels from the origin are dropped."""
    keys, within = voxel_keys(rows[:, :3] / rows[:, 10:], voxel)
    if not within.all():
        rows, keys = rows[within], keys[within]
    order = np.argsort(keys, kind="stable")  # stable: sums must not depend on anything but the order of the rows
    starts = np.flatnonzero(np.diff(keys[order], prepend=-1))
    table = np.add.reduceat(rows[order], starts, axis=0) if len(starts) else rows
    return VoxelSums(table, voxel)


def fuse(rows: Iterable[np.ndarray], voxel: float, *, most: int | None = None) -> VoxelSums:
    """Sum the rows [P, 11] of every view, thinned to its own voxels, into common ones, holding few views' at a time.

    Args:
        rows: Rows of each view.
        voxel: Edge of the voxels.
        most: How many voxels may be occupied in the end; the voxels are enlarged until no more are. None keeps their
            size. Large pictures have many more pixels than that, so they are enlarged on the way already.
    """
    sums = VoxelSums(np.zeros((0, COLUMNS)), voxel)
    waiting: list[np.ndarray] = []
    for part in rows:
        waiting.append(part)
        if len(sums) + sum(len(table) for table in waiting) > _ROWS_BEFORE_MERGE:
            sums, waiting = thin(np.concatenate([sums.table, *waiting]), sums.voxel), []
            if most is not None and len(sums) > SPARE * most:
                sums = coarsen(sums, most)
    sums = thin(np.concatenate([sums.table, *waiting]), sums.voxel)
    return sums if most is None else coarsen(sums, most)


def coarsen(sums: VoxelSums, most: int) -> VoxelSums:
    """Enlarge the voxels until at most `most` are occupied; their number falls with the square of the edge."""
    while len(sums) > most:
        sums = thin(sums.table, sums.voxel * max(1.02, float(np.sqrt(len(sums) / most))))
    return sums
