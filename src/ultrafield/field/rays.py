"""Rays through the pixels of many cameras."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..cameras import Cameras
from ..cameras.projection import pixel_directions


@dataclass(frozen=True, eq=False)
class RayTable:
    """Viewing directions of every pixel, shared by cameras of one lens and size.

    Attributes:
        c2w: Poses [N, 3, 4], float32.
        directions: Directions with z = 1 in camera axes [P, 3], float32; the lenses' pictures follow each other,
            row-major. NaN where the lens has no ray.
        starts: First row of each camera's picture in `directions` [N], int64.
        sizes: Width, height [N, 2], int64.
        keys: What tells the lenses and sizes apart, in the order of `directions`.
    """

    c2w: Tensor
    directions: Tensor
    starts: Tensor
    sizes: Tensor
    keys: tuple[bytes, ...] = ()

    def rays(self, camera: Tensor, pixel: Tensor, c2w: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Rays through pixel centres.

        Args:
            camera: Camera of each ray [R], int64.
            pixel: Row-major pixel index [R], int64.
            c2w: Poses [N, 3, 4] to use instead of the table's, e.g. while they are refined.

        Returns:
            Origins [R, 3] and unit directions [R, 3] in the cameras' frame, and the z-depth of a point at unit distance
            [R]; float32.
        """
        if c2w is None and pixel.is_cuda:
            from .kernels.rays_gpu import rays_gpu  # Triton exists only beside CUDA builds

            return rays_gpu(self.c2w, self.directions, self.starts, camera, pixel)
        # index_select, unlike indexing, has a gradient that is summed in the same order every time.
        pose = (self.c2w if c2w is None else c2w).index_select(0, camera)  # [R, 3, 4]
        local = self.directions[self.starts[camera] + pixel]  # [R, 3]
        cosine = 1.0 / local.norm(dim=-1)
        directions = (pose[:, :, :3] @ (local * cosine[:, None])[..., None])[..., 0]
        return pose[:, :, 3], directions, cosine


def ray_table(cameras: Cameras, device: torch.device | str = "cpu", *, like: RayTable | None = None) -> RayTable:
    """Compute the viewing directions of cameras, once per distinct lens and size; lens distortion is undone here.

    Args:
        cameras: N cameras.
        device: Where the table goes.
        like: A table on the same device; if it is of the same lenses and sizes, its directions are used.
    """
    first_rows: dict[bytes, int] = {}  # of each lens and size
    first_cameras, starts, rows = [], [], 0
    for index in range(len(cameras)):
        columns = (cameras.intrinsics, cameras.sizes, cameras.lenses, cameras.distortion)
        key = b"".join(np.ascontiguousarray(array[index]).tobytes() for array in columns)
        if key not in first_rows:
            first_rows[key] = rows
            first_cameras.append(index)
            rows += int(cameras.sizes[index].prod())
        starts.append(first_rows[key])
    if like is not None and like.keys == tuple(first_rows):
        directions = like.directions
    else:
        parts = [pixel_directions(cameras, index).reshape(-1, 3).astype(np.float32) for index in first_cameras]
        directions = torch.from_numpy(np.concatenate([np.zeros((0, 3), np.float32), *parts])).to(device)
    return RayTable(
        torch.from_numpy(cameras.c2w.astype(np.float32)).to(device),
        directions,
        torch.tensor(starts, dtype=torch.int64, device=device),
        torch.from_numpy(cameras.sizes.astype(np.int64)).to(device),
        tuple(first_rows),
    )
