"""Ray marching: the steps that all rays share, and those of a ray that lie in occupied cells.

Source: Müller et al., "Instant Neural Graphics Primitives", 2022, appendix E.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..errors import check_shape
from .occupancy import OccupancyGrid
from .samples import Samples


def step_edges(near: float, far: float, step: float, cone_angle: float) -> Tensor:
    """Bounds of the steps that every ray shares.

    Args:
        near: Distance of the first bound.
        far: Distance that the last bound must reach.
        step: Smallest step.
        cone_angle: Step over distance; 0 for constant steps.

    Returns:
        Increasing distances [K + 1], float32, on the CPU.
    """
    if cone_angle <= 0:
        count = max(1, int(np.ceil((far - near) / step)))
        return torch.from_numpy((near + step * np.arange(count + 1)).astype(np.float32))
    edges = [near]
    while edges[-1] < far:
        edges.append(edges[-1] + max(step, edges[-1] * cone_angle))
    return torch.tensor(edges, dtype=torch.float32)


def march(
    rays_o: Tensor,
    rays_d: Tensor,
    grid: OccupancyGrid,
    edges: Tensor,
    *,
    jitter: Tensor | None = None,
    first: Tensor | None = None,
    limit: int | None = None,
) -> tuple[Samples, Tensor]:
    """Samples of rays in occupied cells.

    Step k of a ray spans edges[k] … edges[k + 1]; its sample lies at the fraction `jitter` of the step, and is kept if
    its cell is occupied.

    Args:
        rays_o: Origins [R, 3], float32, normalised frame.
        rays_d: Unit directions [R, 3], float32.
        grid: Occupancy.
        edges: Bounds of the steps [K + 1], float32, from `step_edges`.
        jitter: Position within the step [R] in [0, 1); 0.5 if None.
        first: First step to look at [R], int64; 0 if None.
        limit: Most samples of a ray; all if None.

    Returns:
        The samples, and the step at which to go on [R], int64 (K where the ray has left the box).

    Raises:
        ValueError: Shapes that do not fit.
    """
    count = len(rays_o)
    check_shape("rays_o", rays_o, (None, 3))
    check_shape("rays_d", rays_d, (count, 3))
    jitter = torch.full((count,), 0.5, device=rays_o.device) if jitter is None else jitter
    first = torch.zeros(count, dtype=torch.int64, device=rays_o.device) if first is None else first
    limit = len(edges) if limit is None else limit
    if rays_o.is_cuda:
        from .kernels.march_gpu import march_gpu

        return march_gpu(rays_o, rays_d, grid, edges, jitter, first, limit)
    from .kernels.march_cpu import march_cpu

    tensors = (rays_o, rays_d, grid.occupied, edges, jitter, first)
    origins, directions, occupied, bounds, places, starts = (tensor.contiguous().numpy() for tensor in tensors)
    arrays = march_cpu(origins, directions, occupied, bounds, places, starts, limit, grid.resolution)
    offsets, t, delta, after = (torch.from_numpy(array) for array in arrays)
    return Samples(offsets, t, delta), after
