"""Geometry steps of fixed shape on a CUDA device, each of them one CUDA graph.

The losses are those of `geometry`, on arrays of fixed capacity whose used part the device itself counts. The number of
rays follows the number of samples that they turn out to have, on the device too, so that nothing waits for the host.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ...config import Config
from ...field.kernels.accumulate_gpu import accumulate_gpu
from ...field.kernels.hashgrid_gpu import encode_forward_gpu, encode_into_gpu
from ...field.kernels.march_gpu import march_fixed, pack_bits
from ...field.kernels.points_gpu import join_rows_gpu, sample_points_gpu
from ...field.kernels.select_gpu import visible_fixed, visible_rows
from ...field.kernels.volrend_gpu import distortion_gpu, render_weights_gpu
from ...field.model import to_unit_cube
from ...field.samples import FixedSamples
from ...scene import Scene
from ...sharing import ALONE, Group
from ..geometry.base import GeometryTrainer
from ..geometry.kernels.drawing_gpu import pixels_between_gpu
from ..geometry.limits import FEWEST_RAYS, MOST_RAYS, REFERENCE_STEP
from ..geometry.losses import depth_smoothness, ray_losses, spread_axis
from ..geometry.near import weaken_near
from ..geometry.planes import Triples
from ..geometry.shrinkage import shrink_fine_levels
from .adam import FusedAdam
from .capture import CapturedStep, graph_pool
from .kernels.adapt_gpu import adapt_rays_gpu
from .update import Update

_MARCHED_PER_SAMPLE = 4  # capacity for samples in occupied cells, as a multiple of the visible samples aimed for
_ROOM = 1.25  # capacity for visible samples, as a multiple of the number aimed for
_CELLS_AT_ONCE = 1 << 20
_SMOOTHED_PER_RAY = 64  # capacity for visible samples of a quadruple's ray, many more than a surface needs
_MOST_SMOOTHED = 1 << 20  # capacity for those of all quadruples; each takes about a kilobyte
_NOWHERE = 1e6  # a coordinate beyond every box
_MARGIN = 1.3  # optical depth at which a cell counts as solid, as a multiple of that at which rays end
_DEEPER = 2.0  # optical depth by which a cell may grow at each visit


@dataclass(frozen=True, eq=False)
class DeviceRays:
    """Rays of one step.

    Attributes:
        pixels: Pool index of each [R], int64.
        origins: [R, 3].
        directions: [R, 3], unit length.
        cosine: z-depth of a point at unit distance along each ray [R].
    """

    pixels: Tensor
    origins: Tensor
    directions: Tensor
    cosine: Tensor


@dataclass(frozen=True, eq=False)
class VisibleSamples:
    """Samples of rays that light reaches.

    Attributes:
        samples: The samples, in arrays of length C.
        encoded: The grid's encoding at them [C, L · F], zeros behind the last one.
    """

    samples: FixedSamples
    encoded: Tensor


class DeviceGeometryTrainer(GeometryTrainer):
    """Geometry training with steps of fixed shape.

    Args:
        scene: Pictures and cameras; masks for depth inside them and for where rays go.
        config: `config.geometry` and the seed.
        device: A CUDA device; a CPU runs the same steps through Triton's interpreter, for tests.
        group: The processes that share the training.

    Attributes:
        capacity: Most visible samples of a step.
        marched: Most samples of a step in occupied cells.
        most_rays: Most rays of a step R.
        live_rays: Number of rays of the next step [1], int64, on the device.
        bits: Packed occupancy, as `pack_bits` returns it.
        solid: Cells so deep behind a surface that no light is left there, packed likewise; None where geometry is a
            density.
        table_grad: Gradient of the hash grid's table, cleared by the optimiser.
    """

    optimizer: FusedAdam

    def __init__(self, scene: Scene, config: Config, device: torch.device, group: Group = ALONE) -> None:
        super().__init__(scene, config, device, group)
        settings = self.settings
        self.optimizer = FusedAdam(self.learned, lr=settings.lr, beta2=settings.beta2, sparse=True)
        self.optimizer.set_schedule(settings.steps, settings.lr_floor)
        self.capacity = int(_ROOM * self.aim)
        self.marched = _MARCHED_PER_SAMPLE * self.aim
        self.most_rays = settings.rays if settings.samples is None else min(MOST_RAYS, self.aim)
        self.live_rays = torch.full((1,), self._first_rays(), dtype=torch.int64, device=device)
        self.bits = pack_bits(self.field.occupancy.occupied)
        # Least optical depth seen of late in each cell.
        self._depth = None if self.field.level_set is None else torch.zeros_like(self.field.occupancy.density)
        self.solid = None if self._depth is None else torch.zeros_like(self.bits)
        table = self.field.grid.table
        self.update = Update(self.learned, table, self.optimizer, group, weight=self.weight, generator=self.generator)
        self.table_grad = self.update.table_gradient
        capture = partial(CapturedStep, generator=self.generator, pool=graph_pool(device))
        self._steps = {
            (probe, smooth, flat): capture(partial(self._train, probe=probe, smooth=smooth, flat=flat))
            for probe in (False, True)
            for smooth in (False, True)
            for flat in (False, True)
        }
        self._refresh_all = capture(partial(self._refresh, everywhere=True))
        self._refresh_some = capture(partial(self._refresh, everywhere=False))
        self._settle_all = capture(self._settle)

    def _first_rays(self) -> int:
        """Number of rays of the first step: in the initial fog every march step of a ray is a sample."""
        rays = self.settings.rays
        if self.settings.samples is None:
            return rays
        return min(rays, max(FEWEST_RAYS, self.marched // len(self.field.edges)))

    def step(self, step: int) -> dict[str, Tensor]:
        """Do one optimiser step; returns the losses, valid until the next one."""
        settings = self.settings
        self.set_progress(step)
        if step % settings.occupancy_every == 0:
            (self._refresh_all if step < settings.occupancy_warmup else self._refresh_some)()
            if not self.group.alone:
                self.group.keep_largest(self.field.occupancy.density)
                self._settle_all()
        losses = self._steps[self.presses_density(step), self.smooths_depth(step), self.makes_planes(step)]()
        self.update.finish()
        shrink_fine_levels(self.field.grid, settings.grid_decay, step)
        return losses

    def draw(self) -> Tensor:
        """Draw random pixels, as many as a step has rays at most: pool indices [R]."""
        pool, count = self.pool, self.most_rays
        first, last = pool.starts[:1], pool.starts[-1:]
        if self.settings.ray_sampling == "same_image":
            view = (self.uniform(1) * pool.num_views).long()
            first, last = pool.starts[view], pool.starts[view + 1]
        if pool.valid is not None:
            first, last = torch.searchsorted(pool.valid, torch.stack([first, last])).unbind(0)
            first = first.clamp(max=len(pool.valid) - 1)  # of a picture without any, the next one's
        # The 24 bits of a float32 would leave out pixels of large captures.
        chance = torch.rand(count, generator=self.generator, device=self.device, dtype=torch.float64)
        return self.along_outlines(pixels_between_gpu(chance, first, last, pool.valid))

    def rays_of(self, pixels: Tensor) -> DeviceRays:
        """Rays of pool pixels [R]."""
        origins, directions, cosine = self.pool.rays.rays(*self.pool.locate(pixels))
        return DeviceRays(pixels, origins.contiguous(), directions.contiguous(), cosine)

    def draw_smoothed(self) -> tuple[DeviceRays, Tensor]:
        """Draw quadruples of a random picture, as many as the picture with most leaf masks has.

        Returns:
            Their rays, those of a quadruple side by side, and the number of real rays [1], int64: the first ones, the
            others are padding.
        """
        assert self.quadruples is not None
        pool, table = self.pool, self.pool.rays
        view = (self.uniform(1) * pool.num_views).long()
        quadruples, live = self.quadruples.draw(view, self.settings.depth_smooth_pixels, self.generator)
        # Padding may name pixels that this picture does not have.
        inside = torch.minimum(quadruples.view(-1), pool.starts[view + 1] - pool.starts[view] - 1)
        origins, directions, cosine = table.rays(view.expand(len(inside)), inside)
        # A pixel without a ray gets one that meets nothing, so that its quadruple is not opaque.
        exists = directions.isfinite().all(1)
        origins = torch.where(exists[:, None], origins, _NOWHERE)
        directions = torch.where(exists[:, None], directions, 1.0)
        cosine = torch.where(exists, cosine, 0.0)
        rays = DeviceRays(pool.starts[view] + inside, origins.contiguous(), directions.contiguous(), cosine)
        return rays, live * 4

    @torch.no_grad()
    def visible_samples(self, rays: DeviceRays, jitter: Tensor) -> VisibleSamples:
        """Samples that light reaches along R rays; also adapts the number of rays of the next step."""
        marched, visible = self._visible(rays, jitter, self.live_rays, self.marched, self.capacity)
        if self.settings.samples is not None:
            limits = {"room": self.marched, "aim": self.aim, "fewest": FEWEST_RAYS, "most": self.most_rays}
            adapt_rays_gpu(self.live_rays, marched, visible.samples, **limits)
        return visible

    def smoothness(self, rays: DeviceRays, live: Tensor, jitter: Tensor) -> Tensor:
        """Weighted depth smoothness of quadruples from `draw_smoothed`; those that lack samples do not count.

        Only depth is rendered. The gradient with respect to the table is added to `table_grad`.
        """
        if len(rays.pixels) == 0:
            return torch.zeros((), device=self.device)
        room = min(_SMOOTHED_PER_RAY * len(rays.pixels), _MOST_SMOOTHED)
        _, visible = self._visible(rays, jitter, live, _MARCHED_PER_SAMPLE * room, room)
        samples = visible.samples
        sigma, _ = self.field.decode_along(self._learned(rays, visible), samples)
        sigma = weaken_near(sigma, samples.t, self.field)
        weights = render_weights_gpu(sigma, samples.delta, samples.offsets)
        values = torch.stack([torch.ones_like(samples.t), samples.t], dim=1)
        opacity, distance = accumulate_gpu(weights, values, samples.offsets).unbind(1)
        return depth_smoothness(distance * rays.cosine, opacity, self.settings, counted=samples.complete)

    def losses(
        self,
        rays: DeviceRays,
        visible: VisibleSamples,
        target: Tensor,
        background: Tensor,
        gains: Tensor | None = None,
        triples: Triples | None = None,
    ) -> dict[str, Tensor]:
        """Render rays and compare them with the pictures.

        Differentiating the losses adds the gradient with respect to the table to `table_grad`.

        Args:
            rays: R rays.
            visible: Their visible samples; rays that lack samples do not count.
            target: Colours of the picture [R, 3].
            background: Colours behind the rendering, [R, 3] or [3].
            gains: By how much the photographs are brighter than the field [R, 3]; None for no such gains.
            triples: T triples, whose rays are the first 3 T, for planes; None for no such loss.

        Returns:
            Weighted losses by name.
        """
        field, settings, samples = self.field, self.settings, visible.samples
        sigma, geometry = field.decode_along(self._learned(rays, visible), samples)
        sigma = weaken_near(sigma, samples.t, field)
        weights = render_weights_gpu(sigma, samples.delta, samples.offsets)
        seen = join_rows_gpu(geometry, field.harmonics(rays.directions), samples.rays)
        colors = weaken_near(torch.sigmoid(field.color_mlp(seen, samples.offsets[-1:])), samples.t, field)
        values = torch.cat([colors, torch.ones_like(colors[:, :1]), samples.t[:, None]], dim=1)
        sums = accumulate_gpu(weights, values, samples.offsets)  # [R, 5]
        spread = None
        if settings.distortion_weight > 0:
            t, delta = spread_axis(samples.t, samples.delta, bounded=field.bounded)
            spread = distortion_gpu(weights, t, delta, samples.offsets)
        color, opacity, distance = sums.split([3, 1, 1], dim=1)
        opacity, counted = opacity.squeeze(1), samples.complete
        losses = ray_losses(color, opacity, target, background, settings, spread=spread, counted=counted, gains=gains)
        if self.exposure is not None:
            losses["exposure"] = self.exposure.pull()
        if triples is not None:
            complete = counted[: 3 * len(triples.views)].view(-1, 3).all(1)
            whole = replace(triples, counted=triples.counted & complete)
            losses["planes"] = self.planarity(whole, distance.squeeze(1) * rays.cosine, opacity)
        return losses

    @torch.no_grad()
    def _visible(
        self, rays: DeviceRays, jitter: Tensor, live_rays: Tensor, marched: int, capacity: int
    ) -> tuple[FixedSamples, VisibleSamples]:
        """Samples in occupied cells, and those of them that light reaches, with room for `marched` and `capacity`."""
        field, grid = self.field, self.field.occupancy
        occupied = march_fixed(
            rays.origins,
            rays.directions,
            self.bits,
            grid.cascades,
            grid.resolution,
            field.edges,
            jitter,
            live_rays=live_rays,
            capacity=marched,
            solid=self.solid,
        )
        encoded = self._encode(self._points(rays, occupied), occupied.offsets[-1:])
        sigma, _ = field.decode_along(encoded, occupied)
        samples = visible_fixed(sigma, occupied, -math.log(self.settings.min_transmittance), capacity)
        return occupied, VisibleSamples(samples, visible_rows(encoded, occupied, samples))

    def _train(self, *, probe: bool, smooth: bool, flat: bool) -> dict[str, Tensor]:
        pixels, triples = self.draw(), None
        if flat:
            pixels, triples = self.with_triples(pixels, self.live_rays)
        rays = self.rays_of(pixels)
        visible = self.visible_samples(rays, self.uniform(len(pixels)))
        gains = self.gains(pixels)
        losses = self.losses(rays, visible, *self.target(pixels, gains), gains, triples)
        if probe:
            positions = to_unit_cube(self.probes(), bounded=self.field.bounded)
            grid = self.field.grid
            density, _ = self.field.decode(encode_into_gpu(positions, grid.table, grid.layout, self.table_grad))
            losses["density"] = self.settings.density_weight * density.mean()
        if smooth:
            quadruples, live = self.draw_smoothed()
            losses["smoothness"] = self.smoothness(quadruples, live, self.uniform(len(quadruples.pixels)))
        self.update.backward(losses)
        return {name: value.detach() for name, value in losses.items()}

    def _encode(self, positions: Tensor, live: Tensor | None = None) -> Tensor:
        """Encoding of grid coordinates [S, 3], of which only the first `live` count."""
        grid = self.field.grid
        return encode_forward_gpu(positions, grid.table.detach(), grid.layout, live)

    def _learned(self, rays: DeviceRays, visible: VisibleSamples) -> Tensor:
        """Encoding at visible samples [C, L · F]; differentiating it adds the table's gradient to `table_grad`."""
        grid, points = self.field.grid, self._points(rays, visible.samples)
        live = visible.samples.offsets[-1:]
        return encode_into_gpu(points, grid.table, grid.layout, self.table_grad, live, known=visible.encoded)

    def _points(self, rays: DeviceRays, samples: FixedSamples) -> Tensor:
        return sample_points_gpu(rays.origins, rays.directions, samples, bounded=self.field.bounded)

    @torch.no_grad()
    def _refresh(self, *, everywhere: bool) -> None:
        """`OccupancyGrid.update` with fixed shapes; of several processes each visits its part of the cells."""
        settings, grid = self.settings, self.field.occupancy
        for cascade in range(grid.cascades):
            cells = self._cells(cascade, everywhere=everywhere)
            positions = grid.positions(cascade, cells, self.uniform(len(cells), 3))
            density = grid.density[cascade]
            density *= settings.occupancy_decay
            for part, chunk in zip(cells.split(_CELLS_AT_ONCE), positions.split(_CELLS_AT_ONCE), strict=True):
                unit = to_unit_cube(chunk, bounded=self.field.bounded)
                found, raw = self.field.decode(self._encode(unit))
                density.scatter_reduce_(0, part, found, "amax")
                self._deepen(cascade, part, raw)
        if self.group.alone:
            self._settle()

    def _deepen(self, cascade: int, cells: Tensor, raw: Tensor) -> None:
        """Take note of how far light has come in cells [C], from the density network's output there [C, N].

        Sections of rays, which alone know of depth, make only their share of the densities. What a cell is said to stop
        falls at once and grows slowly, as a visit sees one place of it.
        """
        if self._depth is not None and self.field.level_set is not None:
            own = self._depth[cascade]
            depth = self.field.level_set.sections * self.field.level_set.depth(raw[:, 0])
            own.scatter_reduce_(0, cells, torch.minimum(depth, own[cells] + _DEEPER), "amin", include_self=False)

    @torch.no_grad()
    def _settle(self) -> None:
        """Mark the cells that are dense enough, and those that are solid."""
        settings, grid = self.settings, self.field.occupancy
        threshold = grid.density.mean().clamp(max=settings.occupancy_opacity / REFERENCE_STEP)
        grid.occupied.copy_(grid.density > threshold)
        self.bits.copy_(pack_bits(grid.occupied))
        if self._depth is not None and self.solid is not None:
            self.solid.copy_(pack_bits(self._depth > -_MARGIN * math.log(settings.min_transmittance)))

    def _cells(self, cascade: int, *, everywhere: bool) -> Tensor:
        """Cells to visit: all, or a quarter as many drawn uniformly and another quarter from the occupied ones."""
        count = self.field.occupancy.resolution**3
        if everywhere:
            return torch.arange(self.group.rank, count, self.group.size, device=self.device)
        drawn = self.group.part(count // 4)
        uniform = (self.uniform(drawn) * count).long()
        reached = self.field.occupancy.occupied[cascade].cumsum(0)
        ranks = self.uniform(drawn) * reached[-1]
        picks = torch.searchsorted(reached, ranks.long(), right=True).clamp(max=count - 1)
        return torch.cat([uniform, torch.where(reached[-1] > 0, picks, uniform)])

    def own_state(self) -> dict[str, Any]:
        """Gains, and number of rays of all processes."""
        return super().own_state() | {"rays": int(self.live_rays) * self.group.size}

    def restore_own(self, state: dict[str, Any]) -> None:
        """Take gains and number of rays from a saved state, and the occupancy from the field."""
        super().restore_own(state)
        self.live_rays.fill_(min(self.group.part(state["rays"]), self.most_rays))
        self.bits.copy_(pack_bits(self.field.occupancy.occupied))
