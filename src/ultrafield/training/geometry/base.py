"""Base of the geometry trainers for every device: data, schedule of the losses, random numbers."""

from __future__ import annotations

import torch
from torch import Tensor

from ...config import Config
from ...field.model import RadianceField
from ...scene import Scene
from ..checkpoint import new_geometry, settings_text
from ..loop import Trainer
from ..pixels import pixel_pool
from .quadruples import find_quadruples


class GeometryTrainer(Trainer[RadianceField]):
    """A radiance field, the pixels it is trained on, and the schedule of its losses.

    Args:
        scene: Pictures and cameras; masks only for depth smoothness.
        config: `config.geometry` and the seed.
        device: Where to train.

    Attributes:
        settings: `config.geometry`.
        pool: The training pixels.
        quadruples: Pixels between which depth is smoothed; None without depth smoothness.
    """

    stage = "geometry"
    generator: torch.Generator

    def __init__(self, scene: Scene, config: Config, device: torch.device) -> None:
        self.settings, self.device = config.geometry, device
        self.settings_text = settings_text(config.seed, config.geometry)
        self.field = new_geometry(scene, config.geometry, torch.Generator().manual_seed(config.seed)).to(device)
        full_size = config.geometry.full_size and not config.geometry.depth_smooth
        self.pool = pixel_pool(scene, device, full_size=full_size)
        self.generator = torch.Generator(device=device).manual_seed(config.seed)
        self.quadruples = find_quadruples(scene.train, device) if config.geometry.depth_smooth else None
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

    def random_positions(self, count: int) -> Tensor:
        """Uniform positions in the outermost box [count, 3], normalised frame."""
        return (self.uniform(count, 3) * 2 - 1) * self.field.occupancy.half_extent

    def target(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Colours of pool pixels [R, 3], and the background behind their rendering, [R, 3] or [3]."""
        background = self.field.background if self._has_background else None
        seen_through = self.settings.alpha_evidence and self.pool.alpha is not None
        random = self.settings.random_background or seen_through
        drawn = self.uniform(len(pixels), 3) if background is None or random else None
        return self.pool.target(pixels, background, drawn)

    def uniform(self, *shape: int) -> Tensor:
        """Random numbers in [0, 1), float32."""
        return torch.rand(shape, generator=self.generator, device=self.device)
