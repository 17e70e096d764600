"""Base of the geometry trainers for every device: data, schedule of the losses, random numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from ...config import Config, GeometryConfig
from ...field.model import RadianceField
from ...scene import Scene
from ...scene.share import own_views
from ...sharing import ALONE, Group
from ..checkpoint import new_geometry, settings_text
from ..loop import Trainer
from ..pixels import pixel_pool
from .exposure import Exposure
from .limits import PLANAR_REACH, PROBED_NEAR, PROBES, SAMPLES_PER_TRIPLE
from .losses import planarity
from .near import weakens_near
from .outlines import Outlines
from .planes import MaskedPixels, Triples
from .quadruples import find_quadruples

_PLANES_FROM = 0.1  # share of the steps after which depth is made planar; before, there is fog


class GeometryTrainer(Trainer[RadianceField]):
    """A radiance field, the pixels it is trained on, and the schedule of its losses.

    Args:
        scene: Pictures and cameras; masks for depth inside them and for where rays go.
        config: `config.geometry` and the seed.
        device: Where to train.
        group: The processes that share the training; each takes its part of the views and of a step's samples.

    Attributes:
        settings: `config.geometry`, with what this process takes of a step.
        weight: Part of all training pixels that this process has; its losses count so much.
        pool: The training pixels of its views.
        exposure: Gains of the training photographs; None if they count as exposed alike.
        learned: Everything that the optimiser changes: the field, and gains if there are any.
        quadruples: Pixels between which depth is smoothed; None without depth smoothness.
        masked: Masks, or regions, that pixels lie in; None if training does not use them, or without masks.
        outlines: Pixels along the outlines of these; None if they are drawn no more often than others.
    """

    stage = "geometry"
    generator: torch.Generator
    learned: nn.Module
    masked: MaskedPixels | None
    outlines: Outlines | None

    def __init__(self, scene: Scene, config: Config, device: torch.device, group: Group = ALONE) -> None:
        self.settings, self.device, self.group = geometry_part(config.geometry, group), device, group
        self.settings_text, self.seed = settings_text(config.seed, config.geometry), config.seed
        self.field = new_geometry(scene, config.geometry, torch.Generator().manual_seed(config.seed)).to(device)
        full_size = config.geometry.full_size and not config.geometry.depth_smooth
        own = own_views(scene, group.rank, group.size)
        self.pool = pixel_pool(own, device, full_size=full_size)
        pixels = self.pool.colors if self.pool.valid is None else self.pool.valid
        self.weight = group.share(len(pixels), device)
        views = len(scene.train)
        self.exposure = Exposure(views, group).to(device) if config.geometry.exposure else None
        self.learned = self.field if self.exposure is None else nn.ModuleList([self.field, self.exposure])
        self.generator = torch.Generator(device=device).manual_seed(config.seed)
        self.quadruples = find_quadruples(own.train, device) if config.geometry.depth_smooth else None
        self.masked = self.outlines = None
        if config.geometry.uses_regions and (config.geometry.regions == "pictures" or own.has_some_masks):
            self.masked = MaskedPixels.of(own.train, self.pool, regions=config.geometry.regions)
            self.outlines = Outlines.of(self.masked) if config.geometry.draws_outlines else None
        self._has_background = scene.background is not None
        self._smooth_from = int(config.geometry.depth_smooth_from * config.geometry.steps)

    def finished(self) -> RadianceField:
        """The field, after the last step."""
        return self.field

    def set_progress(self, step: int) -> None:
        """Set what changes on a schedule to its state in a step, counted from 0; the last one has its last state."""
        if self.field.level_set is not None:
            self.field.level_set.set_progress(step / max(1, self.settings.steps - 1))

    def presses_density(self, step: int) -> bool:
        """Whether a step has the loss on the density at random positions."""
        return self.settings.density_weight > 0 and step % self.settings.density_every == 0

    def smooths_depth(self, step: int) -> bool:
        """Whether a step has the depth smoothness loss."""
        return self.settings.depth_smooth and step >= self._smooth_from

    def makes_planes(self, step: int) -> bool:
        """Whether a step has the loss that makes depth planar where masks tell nothing apart."""
        planar = self.masked is not None and self.settings.planar_weight > 0
        return planar and step >= _PLANES_FROM * self.settings.steps

    @property
    def aim(self) -> int:
        """Visible samples of a step to aim for."""
        return 64 * self.settings.rays if self.settings.samples is None else self.settings.samples

    def along_outlines(self, pixels: Tensor) -> Tensor:
        """Random pool indices [R], of which a share is replaced by random ones along outlines."""
        if self.outlines is None or len(self.outlines) == 0:
            return pixels
        drawn = self.outlines.draw(len(pixels), self.generator)
        return torch.where(self.uniform(len(pixels)) < self.settings.outline_share, drawn, pixels)

    def with_triples(self, pixels: Tensor, rays: Tensor | int) -> tuple[Tensor, Triples]:
        """Random pixels of a step, the first of them replaced by triples for planes.

        Args:
            pixels: Pool indices [R].
            rays: How many of them the step has rays for, an integer or [1]; at most half of these become triples.

        Returns:
            Pool indices [R], and T triples: where `Triples.counted` is set their pixels are the first 3 T.
        """
        assert self.masked is not None
        count = min(max(1, self.aim // SAMPLES_PER_TRIPLE), len(pixels) // 6)
        triples = self.masked.draw(count, PLANAR_REACH, self.generator)
        fits = 6 * torch.arange(1, count + 1, device=self.device) <= rays
        triples = replace(triples, counted=triples.counted & fits)
        placed = self.pool.starts[triples.views][:, None] + triples.pixels
        first = torch.where(triples.counted[:, None], placed, pixels[: 3 * count].view(-1, 3))
        return torch.cat([first.view(-1), pixels[3 * count :]]), triples

    def planarity(self, triples: Triples, depth: Tensor, opacity: Tensor) -> Tensor:
        """Weighted deviation from planes of T triples.

        Args:
            triples: The triples, whose rays are the first 3 T.
            depth: Σ weight · z-depth of rays [R], not divided by the opacity.
            opacity: [R].
        """
        assert self.masked is not None
        count, focal = 3 * len(triples.views), self.masked.focal[triples.views]
        columns = (depth[:count], opacity[:count], triples.part, focal)
        return planarity(*columns, self.settings, counted=triples.counted)

    def probes(self) -> Tensor:
        """Random positions whose density is pressed down [N, 3], normalised frame.

        They lie anywhere in the outermost box. Where gradients near cameras are weakened, as many again lie there:
        what a picture rarely shows must not be left as it happens to be.
        """
        anywhere = (self.uniform(PROBES, 3) * 2 - 1) * self.field.occupancy.half_extent
        if not weakens_near(self.field):
            return anywhere
        cameras = self.pool.rays.c2w[:, :, 3]
        drawn = cameras[(self.uniform(PROBES) * len(cameras)).long()]
        return torch.cat([anywhere, drawn + (self.uniform(PROBES, 3) * 2 - 1) * PROBED_NEAR])

    def gains(self, pixels: Tensor) -> Tensor | None:
        """By how much the photographs of pool pixels [R] are brighter than the field [R, 3]; None for no such gains."""
        return None if self.exposure is None else self.exposure(self.pool.locate(pixels)[0])

    def target(self, pixels: Tensor, gains: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Colours of pool pixels [R, 3] with their gains, and the background behind their rendering, [R, 3] or [3]."""
        background = self.field.background if self._has_background else None
        seen_through = self.settings.alpha_evidence and self.pool.alpha is not None
        random = self.settings.random_background or seen_through
        drawn = self.uniform(len(pixels), 3) if background is None or random else None
        brightest = None if gains is None else gains.detach()
        return self.pool.target(pixels, background, drawn, brightest=brightest)

    def uniform(self, *shape: int) -> Tensor:
        """Random numbers in [0, 1), float32."""
        return torch.rand(shape, generator=self.generator, device=self.device)

    def own_state(self) -> dict[str, Any]:
        """Gains of the photographs."""
        return {"exposure": None if self.exposure is None else self.exposure.state_dict()}

    def restore_own(self, state: dict[str, Any]) -> None:
        """Take gains from a saved state."""
        if self.exposure is not None:
            self.exposure.load_state_dict(state["exposure"])


def geometry_part(settings: GeometryConfig, group: Group) -> GeometryConfig:
    """The settings with one process's part of what a step takes; all steps stay."""
    if group.alone:
        return settings
    return replace(
        settings,
        rays=group.part(settings.rays),
        samples=None if settings.samples is None else group.part(settings.samples),
        depth_smooth_pixels=group.part(settings.depth_smooth_pixels),
    )
