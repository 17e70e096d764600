"""Cascaded occupancy grid: which cells may hold matter, and the march of rays through those that do.

Source: Müller et al., "Instant Neural Graphics Primitives", 2022, appendix E.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import TrainingError, check_shape


@dataclass(frozen=True)
class Samples:
    """Packed samples along R rays.

    Attributes:
        offsets: First sample of each ray, and S [R + 1], int64.
        t: Distance along the unit ray [S], float32.
        delta: Length of each sample [S], float32.
    """

    offsets: Tensor
    t: Tensor
    delta: Tensor

    def __len__(self) -> int:
        return len(self.t)


@dataclass(frozen=True)
class FixedSamples:
    """Packed samples along R rays in arrays of a fixed size C, of which the first offsets[R] entries are in use.

    Attributes:
        offsets: First sample of each ray, and the number of samples [R + 1], int64.
        t: Distance along the unit ray [C], float32; zeros behind the last sample, as in `delta` and `rays`.
        delta: Length of each sample [C], float32.
        rays: Ray of each sample [C], int32.
        complete: Whether a ray is real and has all of its samples [R], bool.
    """

    offsets: Tensor
    t: Tensor
    delta: Tensor
    rays: Tensor
    complete: Tensor

    @classmethod
    def empty(cls, rays: int, capacity: int, device: torch.device, *, cleared: bool = True) -> FixedSamples:
        """Room for samples, all zeros if `cleared`; the rest has still to be written, unless there are no rays."""
        make = torch.zeros if cleared else torch.empty
        t, delta, indices = make((3, capacity), device=device)  # one call, as launches count in short steps
        offsets = torch.empty(rays + 1, dtype=torch.int64, device=device)
        complete = torch.empty(rays, dtype=torch.bool, device=device)
        return cls(offsets if rays else offsets.zero_(), t, delta, indices.view(torch.int32), complete)


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


class OccupancyGrid(nn.Module):
    """Densities seen lately in nested boxes, and one bit per cell that says whether to sample there.

    Cascade k covers [-0.5 · 2^k, 0.5 · 2^k]³ with G³ cells; a position belongs to the smallest box that holds it.

    Attributes:
        density: Decaying maximum of the density per cell [K, G³], float32, one over unit length.
        occupied: Cells to be sampled [K, G³], bool; all at the start.
    """

    density: Tensor
    occupied: Tensor

    def __init__(self, *, cascades: int, resolution: int) -> None:
        super().__init__()
        self.cascades, self.resolution = cascades, resolution
        self.register_buffer("density", torch.zeros(cascades, resolution**3))
        self.register_buffer("occupied", torch.ones(cascades, resolution**3, dtype=torch.bool))

    @property
    def half_extent(self) -> float:
        """Half the edge of the outermost box."""
        return 0.5 * 2 ** (self.cascades - 1)

    @torch.no_grad()
    def update(
        self,
        density: Callable[[Tensor], Tensor],
        *,
        everywhere: bool,
        threshold: float,
        generator: torch.Generator,
        decay: float = 0.95,
    ) -> None:
        """Refresh cells from a density field at one random position in each.

        Args:
            density: Maps positions [S, 3] (normalised frame) to densities [S].
            everywhere: Visit all cells; otherwise a quarter drawn uniformly and a quarter from the occupied ones.
            threshold: Cells denser than min(mean density, threshold) are occupied.
            generator: Source of the random positions.
            decay: Factor on the old densities.

        Raises:
            TrainingError: A density is not finite.
        """
        device = self.density.device
        for cascade in range(self.cascades):
            cells = self._cells_to_visit(cascade, everywhere, generator)
            inner = torch.rand((len(cells), 3), generator=generator, device=generator.device).to(device)
            positions = self.positions(cascade, cells, inner)
            values = torch.cat([density(chunk) for chunk in positions.split(1 << 18)])
            grid = self.density[cascade]
            grid *= decay
            # Cells drawn twice keep the larger value, whatever the order.
            grid.scatter_reduce_(0, cells, values, "amax")
        mean = float(self.density.mean())
        if not math.isfinite(mean):
            raise TrainingError(f"geometry: the density is {mean}; a smaller learning rate (--geometry.lr) may help")
        self.occupied.copy_(self.density > min(mean, threshold))

    def positions(self, cascade: int, cells: Tensor, inner: Tensor) -> Tensor:
        """Positions [C, 3], normalised frame, at the fractions `inner` [C, 3] of cells [C] of a cascade."""
        axes = torch.stack(
            [cells % self.resolution, cells // self.resolution % self.resolution, cells // self.resolution**2], dim=1
        )
        return ((axes + inner) / self.resolution - 0.5) * 2.0**cascade

    def _cells_to_visit(self, cascade: int, everywhere: bool, generator: torch.Generator) -> Tensor:
        count, device = self.resolution**3, self.density.device
        if everywhere:
            return torch.arange(count, device=device)
        uniform = torch.randint(count, (count // 4,), generator=generator, device=generator.device).to(device)
        occupied = self.occupied[cascade].nonzero()[:, 0]
        if len(occupied) == 0:
            return uniform
        picks = torch.randint(len(occupied), (count // 4,), generator=generator, device=generator.device).to(device)
        return torch.cat([uniform, occupied[picks]])


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

    offsets, t, delta, after = march_cpu(
        *(tensor.contiguous().numpy() for tensor in (rays_o, rays_d, grid.occupied, edges, jitter, first)),
        limit,
        grid.resolution,
    )
    return Samples(torch.from_numpy(offsets), torch.from_numpy(t), torch.from_numpy(delta)), torch.from_numpy(after)
