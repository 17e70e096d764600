"""Training of density and colour on a CUDA device: steps of fixed shape, without a word from the host.

The same losses as in `geometry`, on arrays of fixed capacity whose live part the device itself counts: a step is one
CUDA graph. The number of rays follows the samples that they turn out to have, also on the device.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ...config import Config, GeometryConfig
from ...field.kernels.accumulate_gpu import accumulate_gpu
from ...field.kernels.hashgrid_gpu import encode_forward_gpu, encode_into_gpu
from ...field.kernels.march_gpu import march_fixed, pack_bits
from ...field.kernels.points_gpu import join_rows_gpu, sample_points_gpu
from ...field.kernels.select_gpu import visible_fixed
from ...field.kernels.volrend_gpu import distortion_gpu, render_weights_gpu
from ...field.model import to_unit_cube
from ...field.samples import FixedSamples
from ...scene import Scene
from ..checkpoint import fingerprint, goes_on, new_geometry
from ..geometry.quadruples import find_quadruples
from ..geometry.smoothness import smoothness_loss
from ..geometry.trainer import FEWEST_RAYS, MOST_RAYS, REFERENCE_STEP
from ..pixels import PixelPool, pixel_pool
from .adam import FusedAdam
from .capture import CapturedStep

_MARCHED_PER_SAMPLE = 4  # capacity for samples in occupied cells, over those that light reaches
_ROOM = 1.25  # capacity for visible samples, over the number aimed for
_CELLS_AT_ONCE = 1 << 20
_PROBES = 4096  # random positions whose density is pressed down
_SMOOTHED_PER_RAY = 64  # capacity for visible samples of a quadruple's ray, many more than a surface needs
_MOST_SMOOTHED = 1 << 20  # of all of them, which take about a kilobyte each
_NOWHERE = 1e6  # beyond every box


@dataclass(frozen=True)
class DeviceRays:
    """Rays of one step.

    Attributes:
        pixels: Pool index of each [R], int64.
        origins: [R, 3].
        directions: [R, 3], unit length.
    """

    pixels: Tensor
    origins: Tensor
    directions: Tensor


class DeviceGeometryTrainer:
    """Everything that changes during training.

    Args:
        scene: Pictures and cameras.
        config: `config.geometry` and the seed.
        device: A CUDA device; a CPU runs the same steps through Triton's interpreter, for tests.
    """

    def __init__(self, scene: Scene, config: Config, device: torch.device) -> None:
        settings: GeometryConfig = config.geometry
        self.settings, self.device, self.known_background = settings, device, scene.background is not None
        self.fingerprint = fingerprint(config.seed, settings)
        self.field = new_geometry(scene, settings, torch.Generator().manual_seed(config.seed)).to(device)
        self.pool: PixelPool = pixel_pool(scene, device)
        self.generator = torch.Generator(device=device).manual_seed(config.seed)
        self.optimizer = FusedAdam(self.field, lr=settings.lr, beta2=settings.beta2, sparse=True)
        self.optimizer.set_schedule(settings.steps, settings.lr_floor)
        self.target = settings.rays * 64 if settings.samples is None else settings.samples
        self.capacity = int(_ROOM * self.target)
        self.marched = _MARCHED_PER_SAMPLE * self.target
        self.most_rays = settings.rays if settings.samples is None else min(MOST_RAYS, self.target)
        first = settings.rays
        if settings.samples is not None:  # the first rays cross fog: all their steps are samples
            first = min(first, max(FEWEST_RAYS, self.marched // len(self.field.edges)))
        self.live_rays = torch.full((1,), first, dtype=torch.int64, device=device)
        self.bits = pack_bits(self.field.occupancy.occupied)
        self.table_grad = torch.zeros_like(self.field.grid.table)
        pool = torch.cuda.graph_pool_handle() if device.type == "cuda" else None
        options = {"generator": self.generator, "pool": pool}
        self.quadruples = find_quadruples(scene.train, device) if settings.depth_smooth else None
        self.smooth_from = int(settings.depth_smooth_from * settings.steps)
        self._steps = {
            (probe, smooth): CapturedStep(partial(self._train, probe=probe, smooth=smooth), **options)
            for probe in (False, True)
            for smooth in (False, True)
        }
        self._refresh_all = CapturedStep(lambda: self._refresh(everywhere=True), **options)
        self._refresh_some = CapturedStep(lambda: self._refresh(everywhere=False), **options)

    def step(self, step: int) -> dict[str, Tensor]:
        """One optimiser step; returns the losses, valid until the next one."""
        settings = self.settings
        if step % settings.occupancy_every == 0:
            (self._refresh_all if step < settings.occupancy_warmup else self._refresh_some)()
        probe = settings.density_weight > 0 and step % settings.density_every == 0
        smooth = settings.depth_smooth and step >= self.smooth_from
        return self._steps[probe, smooth]()

    def draw(self) -> DeviceRays:
        """Random rays, as many as there is room for."""
        pool, count = self.pool, self.most_rays
        first, last = pool.starts[:1], pool.starts[-1:]
        if self.settings.ray_sampling == "same_image":
            view = (self._uniform(1) * pool.num_views).long()
            first, last = pool.starts[view], pool.starts[view + 1]
        if pool.valid is not None:
            first, last = torch.searchsorted(pool.valid, torch.stack([first, last])).unbind(0)
        # 24 bits of a float would leave pixels of large captures out.
        chance = torch.rand(count, generator=self.generator, device=self.device, dtype=torch.float64)
        pixels = first + torch.minimum((chance * (last - first)).long(), last - first - 1)
        if pool.valid is not None:
            pixels = pool.valid[pixels]
        origins, directions, _ = pool.rays.rays(*pool.locate(pixels))
        return DeviceRays(pixels, origins.contiguous(), directions.contiguous())

    def draw_smoothed(self) -> tuple[DeviceRays, Tensor, Tensor]:
        """Quadruples of a random picture, as many as the one with most leaf masks has.

        Returns:
            Their rays, four after each other, the z-depth of a point at unit distance along each [R], and how many of
            the rays are real [1], int64, the first ones.
        """
        assert self.quadruples is not None
        pool, table = self.pool, self.pool.rays
        view = (self._uniform(1) * pool.num_views).long()
        quadruples, live = self.quadruples.draw(view, self.settings.depth_smooth_pixels, self.generator)
        # Of another picture there may be fewer pixels.
        inside = torch.minimum(quadruples.view(-1), pool.starts[view + 1] - pool.starts[view] - 1)
        origins, directions, cosine = table.rays(view.expand(len(inside)), inside)
        # A pixel without a ray gets one that meets nothing, so that its quadruple is not opaque.
        exists = directions.isfinite().all(1, keepdim=True)
        origins, directions = torch.where(exists, origins, _NOWHERE), torch.where(exists, directions, 1.0)
        rays = DeviceRays(pool.starts[view] + inside, origins.contiguous(), directions.contiguous())
        return rays, torch.where(exists[:, 0], cosine, 0.0), live * 4

    @torch.no_grad()
    def visible_samples(self, rays: DeviceRays, jitter: Tensor) -> FixedSamples:
        """The samples that light reaches; also adapts the number of rays of the next step."""
        marched, samples = self._visible(rays, jitter, self.live_rays, self.marched, self.capacity)
        if self.settings.samples is not None:
            self._adapt_rays(marched, samples)
        return samples

    def smoothness(self, rays: DeviceRays, cosine: Tensor, live: Tensor, jitter: Tensor) -> Tensor:
        """The loss of quadruples that `draw_smoothed` drew; those that did not get all their samples do not count.

        Their rays are not part of `losses`, and their colours are of no interest. The gradient of the table goes to
        `table_grad`.
        """
        settings = self.settings
        if len(cosine) == 0:
            return torch.zeros((), device=self.device)
        room = min(_SMOOTHED_PER_RAY * len(cosine), _MOST_SMOOTHED)
        _, samples = self._visible(rays, jitter, live, _MARCHED_PER_SAMPLE * room, room)
        number = samples.offsets[-1:]
        sigma, _ = self.field.decode(self._encode(self._points(rays, samples), number, learn=True), number)
        weights = render_weights_gpu(sigma, samples.delta, samples.offsets)
        values = torch.stack([torch.ones_like(samples.t), samples.t], dim=1)
        opacity, distance = accumulate_gpu(weights, values, samples.offsets).unbind(1)
        depth = distance * cosine / opacity.clamp(min=1e-6)
        known = torch.where(samples.complete, opacity, 0.0)
        return smoothness_loss(
            depth.view(-1, 4),
            known.view(-1, 4),
            min_opacity=settings.depth_smooth_opacity,
            tolerance=settings.depth_smooth_tolerance,
        )

    def losses(self, rays: DeviceRays, samples: FixedSamples, target: Tensor, background: Tensor) -> dict[str, Tensor]:
        """Render rays and compare; the gradient of the table goes to `table_grad` when the losses are differentiated.

        Args:
            rays: R rays.
            samples: Their visible samples; rays that did not get all of theirs do not count.
            target: Colours wanted [R, 3].
            background: [R, 3] or [3].
        """
        field, settings = self.field, self.settings
        live = samples.offsets[-1:]
        sigma, geometry = field.decode(self._encode(self._points(rays, samples), live, learn=True), live)
        weights = render_weights_gpu(sigma, samples.delta, samples.offsets)
        seen = join_rows_gpu(geometry, field.harmonics(rays.directions), samples.rays)
        colors = torch.sigmoid(field.color_mlp(seen, live))
        values = torch.cat([colors, torch.ones_like(colors[:, :1])], dim=1)
        sums = accumulate_gpu(weights, values, samples.offsets)  # [R, 4]
        color, alpha = sums[:, :3], sums[:, 3]
        counts = samples.complete
        number = counts.sum().clamp(min=1)

        def mean(values: Tensor) -> Tensor:
            return torch.where(counts, values, 0.0).sum() / number

        losses = {"color": mean((color + (1 - alpha)[:, None] * background - target).square().mean(1))}
        opacity = alpha.clamp(1e-6, 1.0)
        losses["opacity"] = settings.opacity_weight * mean(-(opacity * opacity.log()))
        if settings.distortion_weight > 0:
            t, delta = samples.t, samples.delta
            if not field.bounded:  # far samples count by disparity, as in `geometry`
                t, delta = t / (1 + t), delta / (1 + t).square()
            losses["distortion"] = settings.distortion_weight * mean(distortion_gpu(weights, t, delta, samples.offsets))
        return losses

    @torch.no_grad()
    def _visible(
        self, rays: DeviceRays, jitter: Tensor, live_rays: Tensor, marched: int, capacity: int
    ) -> tuple[FixedSamples, FixedSamples]:
        """Samples in occupied cells and, of these, those that light reaches, in arrays of such capacities."""
        field, grid = self.field, self.field.occupancy
        found = march_fixed(
            rays.origins,
            rays.directions,
            self.bits,
            grid.cascades,
            grid.resolution,
            field.edges,
            jitter,
            live_rays=live_rays,
            capacity=marched,
        )
        live = found.offsets[-1:]
        sigma, _ = field.decode(self._encode(self._points(rays, found), live), live)
        return found, visible_fixed(sigma, found, -math.log(self.settings.min_transmittance), capacity)

    def _train(self, *, probe: bool, smooth: bool) -> dict[str, Tensor]:
        rays = self.draw()
        samples = self.visible_samples(rays, self._uniform(len(rays.pixels)))
        losses = self.losses(rays, samples, *self._target(rays.pixels))
        if probe:
            half = self.field.occupancy.half_extent
            positions = to_unit_cube((self._uniform(_PROBES, 3) * 2 - 1) * half, bounded=self.field.bounded)
            density, _ = self.field.decode(self._encode(positions, None, learn=True))
            losses["density"] = self.settings.density_weight * density.mean()
        if smooth:
            quadruples, cosine, live = self.draw_smoothed()
            jitter = self._uniform(len(cosine))
            losses["smoothness"] = self.settings.depth_smooth_weight * self.smoothness(quadruples, cosine, live, jitter)
        self.optimizer.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        self.optimizer.step({self.field.grid.table: self.table_grad})
        return {name: value.detach() for name, value in losses.items()}

    def _encode(self, positions: Tensor, live: Tensor | None, *, learn: bool = False) -> Tensor:
        """Encoding of grid coordinates [S, 3]; with `learn`, its gradient is added to `table_grad`."""
        grid = self.field.grid
        if learn:
            return encode_into_gpu(positions, grid.table, grid.layout, self.table_grad, live)
        return encode_forward_gpu(positions, grid.table.detach(), grid.layout, live)

    def _points(self, rays: DeviceRays, samples: FixedSamples) -> Tensor:
        return sample_points_gpu(rays.origins, rays.directions, samples, bounded=self.field.bounded)

    def _target(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Colours wanted [R, 3] and the background behind the rendering [R, 3] or [3]."""
        known = self.field.background if self.known_background else None
        drawn = self._uniform(len(pixels), 3) if known is None or self.settings.random_background else None
        return self.pool.wanted(pixels, known, drawn)

    def _adapt_rays(self, marched: FixedSamples, samples: FixedSamples) -> None:
        """Take as many rays as fill both capacities, going half of the way to damp swings."""
        rays = self.live_rays.double()
        per_ray = samples.offsets[-1:] / samples.complete.sum().clamp(min=1)
        marched_per_ray = marched.offsets[-1:] / marched.complete.sum().clamp(min=1)
        wanted = torch.minimum(
            self.target / per_ray.clamp(min=1e-3), 0.9 * self.marched / marched_per_ray.clamp(min=1e-3)
        )
        self.live_rays.copy_((0.5 * (rays + wanted)).clamp(FEWEST_RAYS, self.most_rays).long())

    @torch.no_grad()
    def _refresh(self, *, everywhere: bool) -> None:
        """`OccupancyGrid.update` with fixed shapes."""
        settings, grid = self.settings, self.field.occupancy
        for cascade in range(grid.cascades):
            cells = self._cells(cascade, everywhere=everywhere)
            positions = grid.positions(cascade, cells, self._uniform(len(cells), 3))
            density = grid.density[cascade]
            density *= settings.occupancy_decay
            for part, chunk in zip(cells.split(_CELLS_AT_ONCE), positions.split(_CELLS_AT_ONCE), strict=True):
                unit = to_unit_cube(chunk, bounded=self.field.bounded)
                density.scatter_reduce_(0, part, self.field.decode(self._encode(unit, None))[0], "amax")
        threshold = grid.density.mean().clamp(max=settings.occupancy_opacity / REFERENCE_STEP)
        grid.occupied.copy_(grid.density > threshold)
        self.bits.copy_(pack_bits(grid.occupied))

    def _cells(self, cascade: int, *, everywhere: bool) -> Tensor:
        """Cells to visit: all, or a quarter drawn uniformly and a quarter from the occupied ones."""
        count = self.field.occupancy.resolution**3
        if everywhere:
            return torch.arange(count, device=self.device)
        uniform = (self._uniform(count // 4) * count).long()
        reached = self.field.occupancy.occupied[cascade].cumsum(0)
        ranks = self._uniform(count // 4) * reached[-1]
        picks = torch.searchsorted(reached, ranks.long(), right=True).clamp(max=count - 1)
        return torch.cat([uniform, torch.where(reached[-1] > 0, picks, uniform)])

    def _uniform(self, *shape: int) -> Tensor:
        return torch.rand(shape, generator=self.generator, device=self.device)

    def state(self, step: int) -> dict[str, Any]:
        """All that `restore` needs to go on from `step`."""
        return {
            "stage": "geometry",
            "settings": self.fingerprint,
            "step": step,
            "field": self.field.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "rays": int(self.live_rays),
        }

    def restore(self, state: dict[str, Any] | None) -> int:
        """Go back to a saved state; returns the step to go on with."""
        if state is None or not goes_on(state, "geometry", self.fingerprint):
            return 0
        self.field.load_state_dict(state["field"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"])
        self.live_rays.fill_(state["rays"])
        self.bits.copy_(pack_bits(self.field.occupancy.occupied))
        return int(state["step"])
