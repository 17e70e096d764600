"""Light stopped by a surface: the level set of a function that is positive in front of things and negative inside.

Sources: Wang et al., "NeuS", 2021, eq. 10 to 13 (opacity of a section of a ray); Yariv et al., "Volume Rendering of
Neural Implicit Surfaces", 2021, eq. 2 and 3 (density of a place, with which training begins).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from ..config import GeometryConfig
from .samples import FixedSamples, Samples

LAG = 0.5  # the middle of the section that a sample stands for lies so many sample lengths in front of it
_SCALE = 0.1  # function per unit of the network's output
_OUTSIDE = 0.1  # function where the network says nothing: all is empty
_ADJOINING = 1.2  # samples adjoin if they are no farther apart than so many times their mean length


class LevelSet(nn.Module):
    """Opacity of places and of sections of rays from a function f whose zeros are the surface.

    Φ(f) = 1 / (1 + exp(−f / width)) is the share of light that is left where f is reached. A ray from f₀ to f₁ < f₀
    loses 1 − Φ(f₁) / Φ(f₀) of it, however long it takes: half of the light is stopped where f = 0, and a ray that only
    passes by loses no more than at its nearest place. As this says nothing where f is flat, training begins with the
    density of a place, Laplace's distribution function of −f divided by the width, and goes over to sections.

    Attributes:
        width: Width of the step from empty to full [], float32, units of f.
        sections: Share of the sections' densities in what a ray meets, the rest is that of places [], float32.
    """

    width: Tensor
    sections: Tensor

    def __init__(self, config: GeometryConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("width", torch.tensor(config.surface_width_first))
        self.register_buffer("sections", torch.tensor(0.0))

    def set_progress(self, done: float) -> None:
        """Set width and sections to what they are when `done` of the training's steps, 0 to 1, are done."""
        config = self.config
        part = min(1.0, done / config.surface_width_until)
        self.width.fill_(config.surface_width_first ** (1.0 - part) * config.surface_width_last**part)
        begin, end = config.surface_sections_from, config.surface_sections_until
        self.sections.fill_(min(1.0, max(0.0, (done - begin) / max(end - begin, 1e-6))))

    def density(self, raw: Tensor) -> Tensor:
        """Density of places [S], one over unit length, from the network's first output [S]."""
        function = _function(raw)
        half = 0.5 * torch.exp(-function.abs() / self.width)
        return torch.where(function > 0, half, 1.0 - half) / self.width

    def ray_density(
        self, density: Tensor, raw: Tensor, samples: Samples, rays: Tensor, before: Tensor | None = None
    ) -> Tensor:
        """Densities with which samples stop the light of their rays [S].

        A sample stands for the section from the one before it. Where there is none, or where it does not adjoin, the
        section begins in the open. Samples depend on those in front of them only: leaving out others changes nothing.

        Args:
            density: `density` at the samples [S]; where it is zero, nothing stops light.
            raw: The network's first output [S].
            samples: Samples along rays, near to far.
            rays: Ray of each sample [S].
            before: `last_of_each` of the samples of the same rays that came before these [R, 3]; None if there are
                none.
        """
        t, delta = samples.t, samples.delta
        if len(t) == 0:
            return density
        passed = self.depth(raw)
        front, near, length = _shifted(passed), _shifted(t), _shifted(delta)
        joined = torch.cat([torch.zeros_like(rays[:1], dtype=torch.bool), rays[1:] == rays[:-1]])
        if before is not None:
            carried = before[rays]
            front, near, length = (
                torch.where(joined, own, other)
                for own, other in zip((front, near, length), carried.unbind(1), strict=True)
            )
            joined = torch.ones_like(joined)
        joined = joined & (t - near < 0.5 * _ADJOINING * (delta + length))
        stopped = torch.relu(passed - torch.where(joined, front, torch.zeros_like(front)))
        section = torch.where(density > 0, stopped / delta.clamp(min=1e-9), torch.zeros_like(stopped))
        return torch.lerp(density, section, self.sections)

    def along(self, raw: Tensor, samples: FixedSamples) -> tuple[Tensor, Tensor]:
        """`ray_density` of samples in arrays of a fixed size, which only Triton makes.

        Args:
            raw: The network's output [C, N].
            samples: Samples along rays.

        Returns:
            Densities [C], zeros behind the last sample, and `raw` for whatever else is made of it; both differentiable.
        """
        from .kernels.density_gpu import level_set_gpu  # Triton exists only beside CUDA builds

        return level_set_gpu(
            raw, samples, self.width, self.sections, scale=_SCALE, outside=_OUTSIDE, adjoining=_ADJOINING
        )

    def scaled(self, raw: Tensor) -> Tensor:
        """f over the width [S], from the network's first output [S]; −log Φ is softplus of its negative."""
        return _function(raw) / self.width

    def depth(self, raw: Tensor) -> Tensor:
        """Optical depth −log Φ of rays that have come to places from the open [S], from the network's first output."""
        return softplus(-self.scaled(raw))

    def along_rays(self) -> np.ndarray:
        """Share of sections in what a ray meets, and when samples adjoin [2], float32, for the compiled loop."""
        return np.array([float(self.sections), _ADJOINING], np.float32)

    def last_of_each(self, raw: Tensor, samples: Samples, before: Tensor | None) -> Tensor:
        """What `ray_density` must know of each ray's last sample to go on behind it [R, 3].

        Rays without samples keep what `before` says of them.
        """
        counts = samples.offsets.diff()
        last = (samples.offsets[1:] - 1).clamp(min=0)
        if len(samples) == 0:
            rows = samples.t.new_zeros(len(counts), 3)
        else:
            rows = torch.stack([self.depth(raw[last]), samples.t[last], samples.delta[last]], dim=1)
        nothing = torch.tensor([0.0, -torch.inf, 0.0], device=rows.device)
        return torch.where((counts > 0)[:, None], rows, nothing if before is None else before)


def _function(raw: Tensor) -> Tensor:
    return raw * _SCALE + _OUTSIDE


def _shifted(values: Tensor) -> Tensor:
    """Each value's predecessor [S]; the first one's own."""
    return torch.cat([values[:1], values[:-1]])
