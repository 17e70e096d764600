"""Pixels of many views summed into voxels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

COLUMNS = 11  # x y z, nx ny nz, r g b, footprint, count
_CELLS = 1 << 20  # 21 bits per axis, half of them on either side of the origin
_ROWS_BEFORE_MERGE = 1 << 21


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


def thin(rows: np.ndarray, voxel: float) -> VoxelSums:
    """Sum rows [P, 11] whose mean positions share a voxel; rows beyond 2^20 voxels from the origin are dropped."""
    cells = np.floor(rows[:, :3] / (rows[:, 10:] * voxel))
    within = (np.abs(cells) < _CELLS).all(axis=1)
    if not within.all():
        rows, cells = rows[within], cells[within]
    x, y, z = (cells.astype(np.int64) + _CELLS).T
    keys = (x << 42) | (y << 21) | z
    order = np.argsort(keys, kind="stable")  # stable: sums must not depend on anything but the order of the rows
    starts = np.flatnonzero(np.diff(keys[order], prepend=-1))
    table = np.add.reduceat(rows[order], starts, axis=0) if len(starts) else rows
    return VoxelSums(table, voxel)


def fuse(rows: Iterable[np.ndarray], voxel: float) -> VoxelSums:
    """Sum the rows [P, 11] of every view, thinned to its own voxels, into common ones, holding few views' at a time."""
    tables = [np.zeros((0, COLUMNS))]
    for part in rows:
        tables.append(part)
        if sum(len(table) for table in tables) > _ROWS_BEFORE_MERGE:
            tables = [thin(np.concatenate(tables), voxel).table]
    return thin(np.concatenate(tables), voxel)


def coarsen(sums: VoxelSums, most: int) -> VoxelSums:
    """Enlarge the voxels until at most `most` are occupied; their number falls with the square of the edge."""
    while len(sums) > most:
        sums = thin(sums.table, sums.voxel * max(1.02, float(np.sqrt(len(sums) / most))))
    return sums
