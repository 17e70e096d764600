"""Votes of all views on a CUDA device: only masks, and what each view sees, are uploaded view by view."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..cameras import Cameras, Lens
from ..masks import MaskSet
from ..masks.weights import mask_weights
from ..parallel import in_threads
from ..scene import Scene
from ..surface import Surface, cameras_of
from .codes import point_cells
from .kernels.codes_gpu import cell_codes_gpu, pinhole_cells_gpu
from .kernels.votes_gpu import add_votes_gpu
from .masked_views import masked_views


@dataclass(frozen=True)
class DeviceVotes:
    """Memberships of N surface points in the M masks of one view: `ViewVotes` on a device.

    Attributes:
        masks: Number of masks M.
        codes: Packed mask memberships [N, W], int64; zero where not seen.
        seen: Whether the view sees the point [N], bool.
        points: Seen points in each of the M masks, then in none, zero-padded [64 W], int32.
        weights: Weight of every mask, zero-padded [64 W], float32.
    """

    masks: int
    codes: Tensor
    seen: Tensor
    points: Tensor
    weights: Tensor


def add_up_on_device(
    surface: Surface, edges: np.ndarray, scene: Scene, device: str
) -> tuple[np.ndarray, np.ndarray, bool]:
    """The sums of `mask_votes`, in float32, and whether any mask holds a point.

    Memory on the device: 16 bytes an edge (24 from 2³¹ points on), about 32 a point, and the masks of a few views.
    """
    sums, holding = sums_on_device(surface, edges_on_device(edges, len(surface), device), scene)
    both, either = sums.cpu().double().numpy()
    return both, either, bool(holding)


def edges_on_device(edges: np.ndarray, points: int, device: str) -> Tensor:
    """Edges [E, 2] between so many points, as int32 if that suffices: half of what every view reads."""
    ends = torch.from_numpy(edges).to(device)
    return ends.int() if points < 2**31 else ends


def sums_on_device(surface: Surface, ends: Tensor, scene: Scene) -> tuple[Tensor, Tensor]:
    """Both sums [2, E], float32, and whether any mask holds a point [], bool, on the device of the edges [E, 2]."""
    sums = torch.zeros((2, len(ends)), device=ends.device)
    holding = torch.zeros((), dtype=torch.bool, device=ends.device)
    for view in device_votes(surface, scene, str(ends.device)):
        add_votes_gpu(ends, view.codes, view.seen, view.weights, sums[0], sums[1])
        holding |= view.points[: view.masks].any()
    return sums, holding


def device_votes(surface: Surface, scene: Scene, device: str) -> Iterator[DeviceVotes]:
    """`view_votes` on a device, with the same codes; nothing waits for the device.

    Where a lens distorts, points are projected on the host.
    """
    table = weight_table(len(surface), device)
    cameras, points = cameras_of(surface, scene), torch.from_numpy(surface.points).to(device)

    def prepared(view: tuple[int, MaskSet]) -> tuple[MaskSet, Tensor, Tensor, Tensor, Tensor | None]:
        index, masks = view
        rows = _pinned(torch.from_numpy(masks.rows.view(np.int64)), device)
        numbers = _pinned(torch.from_numpy(masks.numbers.astype(np.int32).reshape(-1)), device)
        if cameras.lenses[index] != Lens.PINHOLE:
            cells = torch.from_numpy(point_cells(surface, cameras, index, masks.shape).astype(np.int32))
            return masks, rows, numbers, _pinned(cells, device), None
        camera = torch.from_numpy(flat_camera(cameras, index, masks.shape))
        visible = torch.from_numpy(surface.visible[index])
        return masks, rows, numbers, _pinned(visible, device), _pinned(camera, device)

    for masks, rows, numbers, where, camera in in_threads(prepared, masked_views(surface, scene)):
        where = where.to(device, non_blocking=True)
        if camera is not None:
            height, width = masks.shape
            where = pinhole_cells_gpu(points, where, camera.to(device, non_blocking=True), width, height)
        of_cell = numbers.to(device, non_blocking=True)[where.clamp(min=0)]
        where = torch.where(where >= 0, of_cell, -1)
        codes, seen, members = cell_codes_gpu(where, rows.to(device, non_blocking=True), len(masks))
        yield DeviceVotes(len(masks), codes, seen, members, table[members.long()])


def weight_table(count: int, device: str) -> Tensor:
    """`mask_weights` of masks that hold 0, 1, … `count` points [count + 1], float32, for the device to look up."""
    return torch.from_numpy(mask_weights(np.arange(count + 1)).astype(np.float32)).to(device)


def flat_camera(cameras: Cameras, index: int, shape: tuple[int, int]) -> np.ndarray:
    """Pose, row by row, and intrinsics of one camera that takes pictures of a height and width [16], float64."""
    camera = cameras[[index]].resized(np.array([shape[::-1]]))
    return np.concatenate([camera.c2w[0].ravel(), camera.intrinsics[0]])


def _pinned(tensor: Tensor, device: str) -> Tensor:
    """A copy in memory that CUDA reads by itself, while the host goes on."""
    return tensor.pin_memory() if device.startswith("cuda") else tensor
