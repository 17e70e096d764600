"""The masks of one view that hold each surface point."""

from __future__ import annotations

import numpy as np

from ..cameras import Cameras, Lens
from ..cameras.projection import pixel_indices, project
from ..masks import MaskSet
from ..surface import Surface


def point_codes(surface: Surface, cameras: Cameras, index: int, masks: MaskSet) -> tuple[np.ndarray, np.ndarray]:
    """The masks of one view that hold each surface point.

    Args:
        surface: N points.
        cameras: Training cameras in the surface's frame, see `cameras_of`, of any picture size.
        index: Which view.
        masks: Its masks.

    Returns:
        Packed memberships [N, M // 64 + 1] uint64, zero where not seen, bit M for what no mask holds; and which points
        the view sees [N] bool.
    """
    from .kernels.codes_cpu import cell_codes_cpu

    cells = point_cells(surface, cameras, index, masks.shape)
    rows = masks.numbers.reshape(-1)[cells].astype(np.int64)
    rows[cells < 0] = -1
    return cell_codes_cpu(rows, masks.rows, len(masks))


def point_cells(surface: Surface, cameras: Cameras, index: int, shape: tuple[int, int]) -> np.ndarray:
    """The pixel in which one view sees each surface point.

    Args:
        surface: N points.
        cameras: Training cameras in the surface's frame, see `cameras_of`, of any picture size.
        index: Which view.
        shape: Height and width of the picture that is asked about.

    Returns:
        Row-major index of the pixel [N] int64; −1 where the view does not see the point.
    """
    from .kernels.codes_cpu import pinhole_cells_cpu

    height, width = shape
    camera = cameras[[index]].resized(np.array([[width, height]]))
    if camera.lenses[0] == Lens.PINHOLE:
        pose, intrinsics = camera.c2w[0], camera.intrinsics[0]
        visible = np.ascontiguousarray(surface.visible[index])  # the kernel is compiled for each layout
        return pinhole_cells_cpu(surface.points, visible, pose, intrinsics, width, height)
    seen = np.flatnonzero(surface.seen_from(index))
    cells = np.full(len(surface), -1)
    cells[seen] = pixel_indices(project(camera, 0, surface.points[seen])[0], width, height)
    return cells
