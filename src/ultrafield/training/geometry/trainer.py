"""Training of density and colour from pictures.

Source: Müller et al. 2022 (fields, occupancy); Barron et al. 2022 (distortion); He et al. 2024 (depth smoothness).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ...config import Config, GeometryConfig
from ...errors import TrainingError
from ...field.model import RadianceField
from ...field.render import sample_positions, trace
from ...field.samples import NEGLIGIBLE, Samples
from ...field.volrend import accumulate, distortion, render_weights
from ...scene import Scene
from ..checkpoint import fingerprint, goes_on, new_geometry, start_from
from ..contrast.mask_pool import check_masks
from ..loop import run_steps
from ..pixels import PixelPool, pixel_pool
from ..schedule import adam, cosine_lr
from .poses import PoseRefinement
from .quadruples import find_quadruples
from .smoothness import smoothness_loss

if TYPE_CHECKING:
    from ..cuda.geometry import DeviceGeometryTrainer

REFERENCE_STEP = 3**0.5 / 1024  # over which `occupancy_opacity` is meant
FEWEST_RAYS, MOST_RAYS = 256, 1 << 16


@dataclass(frozen=True)
class RayBatch:
    """Rays of one step.

    Attributes:
        origins: [R, 3].
        directions: [R, 3], unit length.
        cosine: z-depth of a point at unit distance [R].
    """

    origins: Tensor
    directions: Tensor
    cosine: Tensor


@dataclass(frozen=True)
class Rendered:
    """Differentiable rendering of a batch.

    Attributes:
        color: [R, 3], without background.
        opacity: [R].
        depth: Expected z-depth [R], not divided by the opacity.
        weights: [S].
        samples: The samples behind them.
    """

    color: Tensor
    opacity: Tensor
    depth: Tensor
    weights: Tensor
    samples: Samples


def render_rays(field: RadianceField, batch: RayBatch, jitter: Tensor) -> Rendered:
    """Render rays with gradients, on the samples that `trace` finds visible."""
    samples = trace(field, batch.origins.detach(), batch.directions.detach(), jitter=jitter).samples
    positions, rays = sample_positions(batch.origins, batch.directions, samples)
    sigma, geometry = field.geometry(positions)
    weights = render_weights(sigma, samples.delta, samples.offsets)
    bright = (weights.detach() > NEGLIGIBLE).nonzero()[:, 0]
    harmonics = field.harmonics(batch.directions)
    shaded = field.color(geometry[bright], harmonics[rays[bright]])
    colors = torch.zeros_like(positions).index_copy(0, bright, shaded)
    ones = torch.ones_like(samples.t)
    sums = accumulate(weights, torch.cat([colors, ones[:, None], samples.t[:, None]], dim=1), samples.offsets)  # [R, 5]
    return Rendered(sums[:, :3], sums[:, 3], sums[:, 4] * batch.cosine, weights, samples)


def fit_geometry(
    scene: Scene,
    config: Config,
    *,
    device: torch.device | str = "cpu",
    out: Path | None = None,
    initial: RadianceField | None = None,
    progress: bool = True,
) -> RadianceField:
    """Train a radiance field on the training views.

    Args:
        scene: Pictures and cameras; masks only for depth smoothness.
        config: `config.geometry` and the seed.
        device: Where to train.
        out: Run folder for log.jsonl and the state from which an interrupted training goes on.
        initial: Field to start from, of the same sizes; a random one if None.
        progress: Whether to show a bar.

    Returns:
        The trained field, on `device`; its `train_poses` are the refined ones, if poses were refined.

    Raises:
        SceneError: Depth smoothness is wanted and a training view has no masks.
        TrainingError: The loss is not finite, or the field became empty.
        RunError: `initial` has other sizes.
    """
    if config.geometry.depth_smooth:
        check_masks(scene)
    trainer = _trainer(scene, config, torch.device(device))
    start_from(trainer.field, initial)
    run_steps(trainer, "geometry", config.geometry.steps, out=out, progress=progress)
    if not bool(trainer.field.occupancy.occupied.any()):
        raise TrainingError("geometry: the density field is empty; are poses and scale of the scene right?")
    if isinstance(trainer, _GeometryTrainer) and trainer.poses is not None:
        trainer.field.train_poses = trainer.poses.poses().detach()
    return trainer.field


def _trainer(scene: Scene, config: Config, device: torch.device) -> _GeometryTrainer | DeviceGeometryTrainer:
    """What suits the device; only the steps of the CPU have gradients towards poses."""
    if device.type == "cuda" and not config.geometry.refine_poses:
        from ..cuda.geometry import DeviceGeometryTrainer

        return DeviceGeometryTrainer(scene, config, device)
    return _GeometryTrainer(scene, config, device)


class _GeometryTrainer:
    """Steps with as many samples as the rays happen to have; for the CPU, and for refined poses anywhere."""

    def __init__(self, scene: Scene, config: Config, device: torch.device) -> None:
        settings: GeometryConfig = config.geometry
        self.scene, self.settings, self.device = scene, settings, device
        self.fingerprint = fingerprint(config.seed, settings)
        self.field = new_geometry(scene, settings, torch.Generator().manual_seed(config.seed)).to(device)
        self.pool: PixelPool = pixel_pool(scene, device)
        self.generator = torch.Generator(device=device).manual_seed(config.seed)
        self.rays = settings.rays
        self.optimizer = adam(self.field, lr=settings.lr, beta2=settings.beta2)
        self.poses = PoseRefinement(self.pool.rays.c2w) if settings.refine_poses else None
        self.smooth_from = int(settings.depth_smooth_from * settings.steps)
        self.quadruples = find_quadruples(scene.train, device) if settings.depth_smooth else None

    def step(self, step: int) -> dict[str, Tensor]:
        """One optimiser step; returns the losses."""
        settings = self.settings
        if step % settings.occupancy_every == 0:
            self.field.occupancy.update(
                self.field.density,
                everywhere=step < settings.occupancy_warmup,
                threshold=settings.occupancy_opacity / REFERENCE_STEP,
                decay=settings.occupancy_decay,
                generator=self.generator,
            )
        pixels = self.pool.draw(self.rays, self.generator, same_image=settings.ray_sampling == "same_image")
        batch = self._batch(*self.pool.locate(pixels))
        rendered = render_rays(self.field, batch, self._uniform(len(pixels)))
        target, background = self._target(pixels)
        losses = {"color": (rendered.color + (1 - rendered.opacity)[:, None] * background - target).square().mean()}
        losses |= self._regularisers(rendered, step)
        total = torch.stack(list(losses.values())).sum()
        cosine_lr(self.optimizer, step, settings.steps, floor=settings.lr_floor)
        self.optimizer.zero_grad(set_to_none=True)
        if self.poses is not None:
            self.poses.zero_grad()
        total.backward()
        self.optimizer.step()
        if self.poses is not None:
            self.poses.step()
        self._adapt_rays(len(rendered.samples))
        return losses

    def _regularisers(self, rendered: Rendered, step: int) -> dict[str, Tensor]:
        settings, losses = self.settings, {}
        opacity = rendered.opacity.clamp(1e-6, 1.0)
        losses["opacity"] = settings.opacity_weight * -(opacity * opacity.log()).mean()
        if settings.distortion_weight > 0:
            losses["distortion"] = settings.distortion_weight * self._distortion(rendered).mean()
        if settings.density_weight > 0 and step % settings.density_every == 0:
            half = self.field.occupancy.half_extent
            positions = (self._uniform(4096, 3) * 2 - 1) * half
            losses["density"] = settings.density_weight * self.field.density(positions).mean()
        if settings.depth_smooth and step >= self.smooth_from:
            losses["smoothness"] = settings.depth_smooth_weight * self._smoothness()
        return losses

    def _distortion(self, rendered: Rendered) -> Tensor:
        t, delta = rendered.samples.t, rendered.samples.delta
        if not self.field.bounded:  # far samples count by disparity, or the background would rule the loss
            t, delta = t / (1 + t), delta / (1 + t).square()
        return distortion(rendered.weights, t, delta, rendered.samples.offsets)

    def _smoothness(self) -> Tensor:
        settings, rays = self.settings, self.pool.rays
        assert self.quadruples is not None
        view = torch.randint(self.pool.num_views, (1,), generator=self.generator, device=self.device)
        drawn, live = self.quadruples.draw(view, settings.depth_smooth_pixels, self.generator)
        quadruples = drawn[: int(live)]
        has_ray = rays.directions[rays.starts[view] + quadruples].isfinite().all(-1).all(-1)
        quadruples = quadruples[has_ray]
        if len(quadruples) == 0:
            return torch.zeros((), device=self.device)
        pixels = quadruples.reshape(-1)
        batch = self._batch(view.expand(len(pixels)), pixels)
        rendered = render_rays(self.field, batch, self._uniform(len(pixels)))
        depth = rendered.depth / rendered.opacity.clamp(min=1e-6)
        return smoothness_loss(
            depth.view(-1, 4),
            rendered.opacity.view(-1, 4),
            min_opacity=settings.depth_smooth_opacity,
            tolerance=settings.depth_smooth_tolerance,
        )

    def _batch(self, views: Tensor, pixels: Tensor) -> RayBatch:
        return RayBatch(*self.pool.rays.rays(views, pixels, None if self.poses is None else self.poses.poses()))

    def _target(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Colours wanted [R, 3] and the background behind the rendering [R, 3] or [3]."""
        known = None if self.scene.background is None else self.field.background
        drawn = self._uniform(len(pixels), 3) if known is None or self.settings.random_background else None
        return self.pool.wanted(pixels, known, drawn)

    def _adapt_rays(self, samples: int) -> None:
        if self.settings.samples is not None:
            wanted = self.rays * self.settings.samples / max(1, samples)
            # Half-way steps damp the swing that a fresh occupancy grid causes.
            self.rays = int(min(max(FEWEST_RAYS, 0.5 * (self.rays + wanted)), MOST_RAYS))

    def _uniform(self, *shape: int) -> Tensor:
        return torch.rand(shape, generator=self.generator, device=self.device)

    def state(self, step: int) -> dict[str, Any]:
        """All that `restore` needs to go on from `step` as if nothing had happened."""
        return {
            "stage": "geometry",
            "settings": self.fingerprint,
            "step": step,
            "rays": self.rays,
            "field": self.field.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "poses": None if self.poses is None else self.poses.state_dict(),
        }

    def restore(self, state: dict[str, Any] | None) -> int:
        """Go back to a saved state; returns the step to go on with."""
        if state is None or not goes_on(state, "geometry", self.fingerprint):
            return 0
        self.field.load_state_dict(state["field"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"])
        self.rays = state["rays"]
        if self.poses is not None and state["poses"] is not None:
            self.poses.load_state_dict(state["poses"])
        return int(state["step"])
