"""Label maps on a CUDA device: neighbours are looked up in a grid of cells, and all cuts are voted on at once."""

from __future__ import annotations

from threading import Lock

import numpy as np
import torch
from torch import Tensor

from ..surface import Surface
from .kernels.labels_gpu import nearest_gpu, vote_gpu
from .kernels.rows_cpu import number_rows_cpu
from .stack import LabelStack

_AT_ONCE = 1 << 17  # pixels, of which all cuts are copied to the host together
_WIDER = 1 + 1e-6  # edge of a cell in radii: rounding must not put what is within the radius two cells away
_MOST_CELLS = 1 << 20  # along an edge: three such numbers fit into one of 64 bits


class DeviceLabeller:
    """What `ViewLabeller` does, on a device; for surfaces whose points lie equally far apart.

    Points lie in the order of their cells, whose edge is the radius: all points within the radius are in the 27 cells
    around a pixel's, and cells that follow each other along the last axis are one range of points.

    Args:
        surface: N points.
        labels: Segment of every point at every cut, int32; [L, N, 1] as label maps.
        voters: Nearest points that vote on a pixel.
        radius: Largest distance to them, normalised units.
        device: A CUDA device; a CPU runs the same through Triton's interpreter, for tests.
    """

    def __init__(self, surface: Surface, labels: LabelStack, voters: int, radius: float, device: str) -> None:
        self._voters, self._radius = voters, radius
        points = torch.from_numpy(surface.points).to(device)
        self._low = points.amin(dim=0).double()
        cells = self._cells_of(points)
        self._size: list[int] = (cells.amax(dim=0) + 1).tolist()
        keys, order = torch.sort(self._key(cells), stable=True)
        self._points, self._keys = points[order].contiguous(), keys
        self._columns = torch.from_numpy(np.ascontiguousarray(labels.index[:, 0])).to(device)[order]
        self._table = torch.from_numpy(np.ascontiguousarray(labels.columns)).to(device)
        self._rows = torch.tensor([(i, j, -1) for i in (-1, 0, 1) for j in (-1, 0, 1)], device=device)  # first cells
        self._lock = Lock()  # several threads label views: one at a time is on the device

    @staticmethod
    def suits(surface: Surface, radius: float) -> bool:
        """Whether the points lie equally far apart, in no more cells than can be numbered."""
        extent = float(np.ptp(surface.points, axis=0).max(initial=0.0))
        return bool(np.isinf(surface.inner)) and len(surface) > 0 and extent < _MOST_CELLS * radius

    def stack(self, points: np.ndarray) -> LabelStack:
        """Node ids at all cuts of pixels that see `points` [H, W, 3], NaN for nothing."""
        height, width, _ = points.shape
        flat = points.reshape(-1, 3)
        parts = [self._part(flat[first : first + _AT_ONCE]) for first in range(0, max(1, len(flat)), _AT_ONCE)]
        whole = parts[0] if len(parts) == 1 else LabelStack.joined(parts)
        return LabelStack(whole.index.reshape(height, width), whole.columns)

    def _part(self, points: np.ndarray) -> LabelStack:
        """Node ids of pixels [P, 3], as a picture of one row."""
        with self._lock, torch.no_grad():
            pixels = torch.from_numpy(np.ascontiguousarray(points)).to(self._points.device)
            rows = vote_gpu(self._table, self._columns, self._nearest(pixels)).cpu().numpy()
        index = np.empty(len(rows), np.int32)
        columns = number_rows_cpu(rows, index)
        return LabelStack(index[None], columns)

    def _nearest(self, pixels: Tensor) -> Tensor:
        """The points that vote on pixels [P, K], int32, in the order of cells."""
        seen = pixels.isfinite().all(dim=1, keepdim=True)
        first = self._cells_of(torch.where(seen, pixels, 0.0))[:, None] + self._rows  # [P, 9, 3]
        across, down, along = first.unbind(2)
        there = seen & (across >= 0) & (across < self._size[0]) & (down >= 0) & (down < self._size[1])
        row = torch.where(there, (across * self._size[1] + down) * self._size[2], 0)
        begin, end = row + along.clamp(0, self._size[2]), row + (along + 3).clamp(0, self._size[2])
        starts, ends = torch.searchsorted(self._keys, torch.stack([begin, torch.where(there, end, begin)])).int()
        return nearest_gpu(pixels, self._points, starts, ends, self._radius, self._voters)

    def _cells_of(self, points: Tensor) -> Tensor:
        """The cell of each point [N, 3], int64; of those far outside, one that is outside as well."""
        cells = torch.floor((points.double() - self._low) / (_WIDER * self._radius))
        return cells.clamp(-2, 2 * _MOST_CELLS).long()

    def _key(self, cells: Tensor) -> Tensor:
        """One number for each cell [N], int64, that orders them by their axes."""
        return (cells[:, 0] * self._size[1] + cells[:, 1]) * self._size[2] + cells[:, 2]
