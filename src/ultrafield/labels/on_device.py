"""Label maps on a CUDA device: neighbours are looked up in a grid of cells, and all cuts are voted on at once."""

from __future__ import annotations

from threading import Lock

import numpy as np
import torch
from torch import Tensor

from ..devices import current_device
from ..surface import Surface
from .kernels.labels_gpu import nearest_gpu, vote_gpu
from .stack import LabelStack

_AT_ONCE = 1 << 19  # pixels that are labelled together
_WIDER = 1 + 1e-6  # edge of a cell in radii: rounding must not put what is within the radius two cells away
_FARTHEST = 8  # voxels: some six hundred points of a surface are then in the cells around a pixel
_MOST_VOTERS = 32  # more do not fit into registers
_MOST_CELLS = 1 << 20  # along an edge: three such numbers fit into one of 64 bits


class DeviceLabeller:
    """What `ViewLabeller` does, on a device; for surfaces whose points lie equally far apart.

    Of points that are equally far away from a pixel, others may vote than on the CPU, where any of them may too.

    Args:
        surface: N points.
        labels: Segment of every point at every cut, int32; [L, N, 1] as label maps.
        voters: Nearest points that vote on a pixel.
        radius: Largest distance to them, normalised units.
        device: A CUDA device; a CPU runs the same through Triton's interpreter, for tests.
    """

    def __init__(self, surface: Surface, labels: LabelStack, voters: int, radius: float, device: str) -> None:
        self._voters, edge, self._device = voters, _WIDER * radius, torch.device(device)
        points = torch.from_numpy(surface.points).to(device)
        low = points.amin(dim=0).double()
        cells = torch.floor((points.double() - low) / edge).long()
        self._frame = torch.cat([low, torch.tensor([edge, radius * radius], dtype=torch.float64, device=device)])
        across, down, along = (cells.amax(dim=0) + 1).tolist()
        self._size = across, down, along
        self._keys, order = torch.sort((cells[:, 0] * down + cells[:, 1]) * along + cells[:, 2], stable=True)
        self._points = points[order].contiguous()
        self._columns = torch.from_numpy(np.ascontiguousarray(labels.index[:, 0])).to(device)[order].contiguous()
        table = torch.from_numpy(np.ascontiguousarray(labels.columns)).to(device)
        own = torch.arange(len(table), dtype=torch.int32, device=device)
        # What pixels get whose voters all have one column, and at the end those without voters.
        with current_device(self._device):
            self._rows, self._codes = vote_gpu(table, own, torch.cat([own, torch.full_like(own[:1], -1)])[:, None])
        self._lock = Lock()  # several threads label views: one at a time is on the device

    @staticmethod
    def suits(surface: Surface, radius: float, voters: int) -> bool:
        """Whether the points lie equally far apart, in no more cells than can be numbered, and few are near a pixel."""
        if (
            not len(surface)
            or np.isfinite(surface.inner)
            or radius > _FARTHEST * surface.voxel
            or voters > _MOST_VOTERS
        ):
            return False
        extent = surface.points.max(axis=0).astype(np.float64) - surface.points.min(axis=0)
        return bool(extent.max() < _MOST_CELLS * radius)

    def stack(self, points: np.ndarray) -> LabelStack:
        """Node ids at all cuts of pixels that see `points` [H, W, 3], NaN for nothing."""
        height, width, _ = points.shape
        flat = points.reshape(-1, 3)
        parts = [self._part(flat[first : first + _AT_ONCE]) for first in range(0, max(1, len(flat)), _AT_ONCE)]
        whole = parts[0] if len(parts) == 1 else LabelStack.joined(parts)
        return LabelStack(whole.index.reshape(height, width), whole.columns)

    def _part(self, points: np.ndarray) -> LabelStack:
        """Node ids of pixels [P, 3], as a picture of one row."""
        pixels = torch.from_numpy(np.ascontiguousarray(points))
        with self._lock, current_device(self._device), torch.no_grad():
            near = self._points, self._keys, self._frame, self._size, self._voters
            rows, codes, row = self._voted(nearest_gpu(pixels.to(self._device), *near))
            index, first = _numbered(codes[row])
            columns = rows[row[first]]
            number = torch.full_like(codes, -1).scatter_(0, row, index)
            used = (number >= 0).nonzero()[:, 0]
            if not bool((columns[number[used]] == rows[used]).all()):  # two with the same code, once in 2⁶⁴ pairs
                index, first = _numbered(torch.unique(rows, dim=0, return_inverse=True)[1][row])
                columns = rows[row[first]]
            return LabelStack(index.int()[None].cpu().numpy(), columns.cpu().numpy())

    def _voted(self, voters: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Rows of node ids [R, L], a code that equal ones share [R], and which one each pixel gets [P], int64.

        Only pixels whose voters [P, K] have several columns need a vote: those near a border between segments.
        """
        columns = self._columns[voters.clamp(min=0)]
        mixed = ((columns != columns[:, :1]) & (voters >= 0)).any(dim=1).nonzero()[:, 0]
        rows, codes = vote_gpu(self._rows, self._columns, voters[mixed])
        row = torch.where(voters[:, 0] >= 0, columns[:, 0], len(self._rows) - 1).long()
        row[mixed] = torch.arange(len(mixed), device=row.device) + len(self._rows)
        return torch.cat([self._rows, rows]), torch.cat([self._codes, codes]), row


def _numbered(codes: Tensor) -> tuple[Tensor, Tensor]:
    """The number of each pixel's code [P], int64, in the order in which codes first occur, and the first pixel of each.

    Args:
        codes: [P], int64.
    """
    _, number = torch.unique(codes, return_inverse=True)
    pixels = torch.arange(len(codes), device=codes.device)
    count = int(number.amax()) + 1 if len(codes) else 0
    first = torch.full((count,), len(codes), device=codes.device).scatter_reduce_(0, number, pixels, "amin")
    first, order = first.sort()
    rank = torch.empty_like(order)
    rank[order] = pixels[:count]
    return rank[number], first
