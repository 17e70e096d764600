"""Geometry steps led by the host, with as many samples as the rays turn out to have.

Source: Müller et al. 2022 (fields, occupancy); Barron et al. 2022 (distortion); He et al. 2024 (depth smoothness).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...config import Config
from ...field.model import RadianceField
from ...field.samples import NEGLIGIBLE, Samples
from ...field.tracing import sample_positions, trace
from ...field.volrend import accumulate, distortion, render_weights
from ...scene import Scene
from ...sharing import ALONE, Group
from ..reduction import add_up_gradients
from ..schedule import adam, cosine_lr
from .base import GeometryTrainer
from .limits import FEWEST_RAYS, MOST_RAYS, REFERENCE_STEP
from .losses import depth_smoothness, ray_losses, spread_axis
from .near import weaken_near
from .planes import Triples
from .poses import LR, PUBLISHED_LR, PoseRefinement
from .shrinkage import shrink_fine_levels


@dataclass(frozen=True, eq=False)
class RayBatch:
    """Rays of one step, normalised frame.

    Attributes:
        origins: [R, 3], float32.
        directions: [R, 3], float32, unit length.
        cosine: z-depth of a point at unit distance along each ray [R], float32.
    """

    origins: Tensor
    directions: Tensor
    cosine: Tensor


@dataclass(frozen=True, eq=False)
class Rendered:
    """Differentiable rendering of a batch.

    Attributes:
        color: [R, 3], without background.
        opacity: [R].
        depth: Σ weight · z-depth [R], not divided by the opacity.
        weights: Rendering weights of the samples [S].
        samples: The visible samples along the rays.
    """

    color: Tensor
    opacity: Tensor
    depth: Tensor
    weights: Tensor
    samples: Samples


def render_rays(field: RadianceField, batch: RayBatch, jitter: Tensor) -> Rendered:
    """Render rays with gradients, on the samples that `trace` finds visible."""
    origins, directions = batch.origins.detach(), batch.directions.detach()
    traced = trace(field, origins, directions, jitter=jitter, encoded=not origins.is_cuda)
    samples = traced.samples
    positions, rays = sample_positions(batch.origins, batch.directions, samples)
    density, geometry = field.geometry(positions, traced.encoded)
    sigma = weaken_near(field.ray_density(density, geometry, samples, rays), samples.t, field)
    weights = render_weights(sigma, samples.delta, samples.offsets)
    bright = (weights.detach() > NEGLIGIBLE).nonzero()[:, 0]
    harmonics = field.harmonics(batch.directions)
    shaded = weaken_near(field.color(geometry[bright], harmonics[rays[bright]]), samples.t[bright], field)
    colors = torch.zeros_like(positions).index_copy(0, bright, shaded)
    ones = torch.ones_like(samples.t)
    sums = accumulate(weights, torch.cat([colors, ones[:, None], samples.t[:, None]], dim=1), samples.offsets)  # [R, 5]
    return Rendered(sums[:, :3], sums[:, 3], sums[:, 4] * batch.cosine, weights, samples)


class HostGeometryTrainer(GeometryTrainer):
    """Steps for the CPU, and for the refinement of camera poses on any device.

    Only these steps have gradients with respect to rays, which refined poses need.

    Args:
        scene: Pictures and cameras; masks for depth inside them and for where rays go.
        config: `config.geometry` and the seed.
        device: Where to train.
        group: The processes that share the training; poses are not refined by several.

    Attributes:
        rays: Number of rays of the next step.
        poses: Corrections of the camera poses; None if they are not refined.
    """

    optimizer: torch.optim.Adam

    def __init__(self, scene: Scene, config: Config, device: torch.device, group: Group = ALONE) -> None:
        super().__init__(scene, config, device, group)
        settings = self.settings
        self.rays = settings.rays
        self.optimizer = adam(self.learned, lr=settings.lr, beta2=settings.beta2)
        rate = PUBLISHED_LR if settings.samples is None else LR  # only the preset "paper" has no aim for samples
        self.poses = PoseRefinement(self.pool.rays.c2w, rate) if settings.refine_poses else None

    def finished(self) -> RadianceField:
        """The field, after the last step, with the refined poses if there are any."""
        if self.poses is not None:
            self.field.train_poses = self.poses.poses().detach()
        return self.field

    def step(self, step: int) -> dict[str, Tensor]:
        """Do one optimiser step; returns the losses."""
        settings = self.settings
        self.set_progress(step)
        if step % settings.occupancy_every == 0:
            self._refresh_occupancy(step)
        drawn = self.pool.draw(self.rays, self.generator, same_image=settings.ray_sampling == "same_image")
        pixels, triples = self.along_outlines(drawn), None
        if self.makes_planes(step):
            pixels, triples = self.with_triples(pixels, len(pixels))
        rendered = render_rays(self.field, self._batch(*self.pool.locate(pixels)), self.uniform(len(pixels)))
        gains = self.gains(pixels)
        losses = self.losses(rendered, *self.target(pixels, gains), step, gains, triples)
        total = torch.stack(list(losses.values())).sum()
        cosine_lr(self.optimizer, step, settings.steps, floor=settings.lr_floor)
        self.optimizer.zero_grad(set_to_none=True)
        if self.poses is not None:
            self.poses.zero_grad()
        (total if self.group.alone else self.weight * total).backward()
        add_up_gradients(self.learned, self.group)
        self.optimizer.step()
        shrink_fine_levels(self.field.grid, settings.grid_decay, step)
        if self.poses is not None:
            self.poses.step(step, settings.steps)
        self._adapt_rays(len(rendered.samples))
        return losses

    def losses(
        self,
        rendered: Rendered,
        target: Tensor,
        background: Tensor,
        step: int,
        gains: Tensor | None = None,
        triples: Triples | None = None,
    ) -> dict[str, Tensor]:
        """Every loss of a step, weighted.

        Args:
            rendered: Rendering of R rays.
            target: Colours of the picture [R, 3].
            background: Colours behind the rendering, [R, 3] or [3].
            step: Steps done before this one.
            gains: By how much the photographs are brighter than the field [R, 3]; None for no such gains.
            triples: T triples, whose rays are the first 3 T, for planes; None for no such loss.
        """
        settings = self.settings
        spread = self._distortion(rendered) if settings.distortion_weight > 0 else None
        losses = ray_losses(rendered.color, rendered.opacity, target, background, settings, spread=spread, gains=gains)
        if self.exposure is not None:
            losses["exposure"] = self.exposure.pull()
        if self.presses_density(step):
            density = self.field.density(self.probes())
            losses["density"] = settings.density_weight * density.mean()
        if self.smooths_depth(step):
            losses["smoothness"] = self._smoothness()
        if triples is not None:
            losses["planes"] = self.planarity(triples, rendered.depth, rendered.opacity)
        return losses

    def _refresh_occupancy(self, step: int) -> None:
        settings = self.settings
        self.field.occupancy.update(
            self.field.density,
            everywhere=step < settings.occupancy_warmup,
            threshold=settings.occupancy_opacity / REFERENCE_STEP,
            decay=settings.occupancy_decay,
            generator=self.generator,
            merge=self.group.keep_largest,
        )

    def _distortion(self, rendered: Rendered) -> Tensor:
        """Distortion of each ray [R]."""
        samples = rendered.samples
        t, delta = spread_axis(samples.t, samples.delta, bounded=self.field.bounded)
        return distortion(rendered.weights, t, delta, samples.offsets)

    def _smoothness(self) -> Tensor:
        """Depth smoothness in the quadruples of a random picture, weighted."""
        rays = self.pool.rays
        assert self.quadruples is not None
        view = torch.randint(self.pool.num_views, (1,), generator=self.generator, device=self.device)
        drawn, live = self.quadruples.draw(view, self.settings.depth_smooth_pixels, self.generator)
        quadruples = drawn[: int(live)]
        has_ray = rays.directions[rays.starts[view] + quadruples].isfinite().all(-1).all(-1)
        quadruples = quadruples[has_ray]
        if len(quadruples) == 0:
            return torch.zeros((), device=self.device)
        pixels = quadruples.reshape(-1)
        rendered = render_rays(self.field, self._batch(view.expand(len(pixels)), pixels), self.uniform(len(pixels)))
        return depth_smoothness(rendered.depth, rendered.opacity, self.settings)

    def _batch(self, views: Tensor, pixels: Tensor) -> RayBatch:
        return RayBatch(*self.pool.rays.rays(views, pixels, None if self.poses is None else self.poses.poses()))

    def _adapt_rays(self, samples: int) -> None:
        """Move half of the way to the number of rays that has as many samples as aimed for, to damp swings."""
        if self.settings.samples is not None:
            needed = self.rays * self.settings.samples / max(1, samples)
            self.rays = int(min(max(FEWEST_RAYS, 0.5 * (self.rays + needed)), MOST_RAYS))

    def own_state(self) -> dict[str, Any]:
        """Gains, number of rays of all processes, and corrections of the poses."""
        poses = None if self.poses is None else self.poses.state_dict()
        return super().own_state() | {"rays": self.rays * self.group.size, "poses": poses}

    def restore_own(self, state: dict[str, Any]) -> None:
        """Take gains, number of rays and corrections from a saved state."""
        super().restore_own(state)
        self.rays = self.group.part(state["rays"])
        if self.poses is not None and state["poses"] is not None:
            self.poses.load_state_dict(state["poses"])
