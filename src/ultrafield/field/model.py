"""The two fields: density and colour, and the features that carry the hierarchy.

Source: Müller et al. 2022, section 5.4 (radiance); He et al., "View-Consistent Hierarchical 3D Segmentation Using
Ultrametric Feature Fields", 2024, section 3 (features).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..config import FeatureConfig, GeometryConfig
from .hashgrid import HashGrid
from .level_set import LevelSet
from .march import step_edges
from .mlp import SPHERICAL_CHANNELS, Mlp, spherical_harmonics, truncated_exp
from .occupancy import OccupancyGrid
from .samples import FixedSamples, Samples

GEOMETRY_CHANNELS = 16
_CUBE_DIAGONAL = 3**0.5


def to_unit_cube(positions: Tensor, *, bounded: bool) -> Tensor:
    """Positions [.., 3] in the normalised frame as hash-grid coordinates in [0, 1]³.

    A bounded scene fills the cube. Otherwise [-0.5, 0.5]³ takes the middle half along each axis and the rest of space
    is contracted into the shell around it (Barron et al., "Mip-NeRF 360", 2022, eq. 10, with the maximum norm).
    """
    if bounded:
        return positions + 0.5
    scaled = positions * 2.0
    reach = scaled.abs().amax(-1, keepdim=True).clamp(min=1.0)
    return scaled * ((2.0 - 1.0 / reach) / reach) * 0.25 + 0.5


class RadianceField(nn.Module):
    """Density and view-dependent colour over the normalised scene.

    Args:
        config: Sizes of the networks and grids.
        cascades: Nested boxes; one for a bounded scene.
        near: Distance from the camera at which rays begin.
        far: Largest distance from a camera at which the outermost box can end.
        background: Colour [3] behind everything, or None for a capture, where it is black.
        generator: Source of the initial parameters.
    """

    background: Tensor
    edges: Tensor
    train_poses: Tensor  # poses [N, 3, 4] refined together with the field; none [0, 3, 4] if they were not

    def __init__(
        self,
        config: GeometryConfig,
        *,
        cascades: int,
        near: float,
        far: float,
        background: Tensor | None,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.config, self.bounded = config, cascades == 1
        self.grid = HashGrid(config.grid, generator=generator)
        channels = self.grid.layout.channels
        self.density_mlp = Mlp([channels, config.hidden, GEOMETRY_CHANNELS], generator=generator)
        widths = [GEOMETRY_CHANNELS + SPHERICAL_CHANNELS, *[config.hidden] * config.color_layers, 3]
        self.color_mlp = Mlp(widths, generator=generator)
        surface = self.bounded if config.representation == "auto" else config.representation == "surface"
        self.level_set = LevelSet(config) if surface else None
        self.occupancy = OccupancyGrid(cascades=cascades, resolution=config.occupancy_resolution)
        cone_angle = 0.0 if self.bounded else config.cone_angle
        step = _CUBE_DIAGONAL / config.max_samples_per_ray
        self.register_buffer("edges", step_edges(near, far, step, cone_angle))
        self.register_buffer("train_poses", torch.zeros(0, 3, 4))
        self.register_buffer("background", torch.zeros(3) if background is None else background.clone())

    @property
    def device(self) -> torch.device:
        """Where the parameters live."""
        return self.grid.table.device

    def geometry(self, positions: Tensor, encoded: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Density [S] (one over unit length) and the colour network's input [S, 16] at positions [S, 3].

        With what `encode` gave there before [S, L · F], on the CPU, the grid is not looked up again.
        """
        if encoded is None:
            return self.decode(self.encode(positions))
        return self.decode(self.grid.resume(to_unit_cube(positions, bounded=self.bounded), encoded))

    def encode(self, positions: Tensor) -> Tensor:
        """Features of the hash grid [S, L · F] at positions [S, 3]."""
        encoded: Tensor = self.grid(to_unit_cube(positions, bounded=self.bounded))
        return encoded

    def decode(self, encoded: Tensor, live: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Density [S] and vector [S, 16] from the grid's encoding [S, L · F]; only the first `live` rows count."""
        raw = self.density_mlp(encoded, live=live)
        density = truncated_exp(raw[:, 0]) if self.level_set is None else self.level_set.density(raw[:, 0])
        return density, raw

    def decode_along(self, encoded: Tensor, samples: FixedSamples) -> tuple[Tensor, Tensor]:
        """Densities [C] with which samples stop the light of their rays, and vectors [C, 16].

        The same as `decode` and then `ray_density`, from the grid's encoding [C, L · F] at samples in arrays of a fixed
        size; what stands behind the last one does not count.
        """
        raw = self.density_mlp(encoded, live=samples.offsets[-1:])
        if self.level_set is not None:
            return self.level_set.along(raw, samples)
        from .kernels.density_gpu import exponential_gpu  # Triton exists only beside CUDA builds

        return exponential_gpu(raw, samples)

    def ray_density(self, density: Tensor, vectors: Tensor, samples: Samples, rays: Tensor) -> Tensor:
        """Densities [S] with which samples stop the light of their rays, from what `geometry` gives there.

        The same as the densities of their places, unless geometry is a surface; see `LevelSet.ray_density`.
        """
        if self.level_set is None:
            return density
        return self.level_set.ray_density(density, vectors[:, 0], samples, rays)

    def density(self, positions: Tensor) -> Tensor:
        """Density [S] at positions [S, 3]."""
        return self.geometry(positions)[0]

    def color(self, geometry: Tensor, harmonics: Tensor) -> Tensor:
        """Colour [S, 3] in [0, 1] from `geometry`'s vector [S, 16] and the view's harmonics [S, 16]."""
        return torch.sigmoid(self.color_mlp(torch.cat([geometry, harmonics], dim=1)))

    def harmonics(self, rays_d: Tensor) -> Tensor:
        """Spherical harmonics [R, 16] of viewing directions [R, 3], for `color`."""
        return spherical_harmonics(rays_d)


class FeatureField(nn.Module):
    """Features whose distances order the hierarchy; rendered with the geometry's weights.

    Everything after the last hidden layer is linear, so it is applied once per pixel, after compositing, instead of
    once per sample: the sums are the same.

    Args:
        config: Sizes of the network and grid.
        bounded: As for the radiance field whose weights are used.
        generator: Source of the initial parameters.
    """

    def __init__(self, config: FeatureConfig, *, bounded: bool, generator: torch.Generator) -> None:
        super().__init__()
        self.config, self.bounded = config, bounded
        self.grid = HashGrid(config.grid, generator=generator)
        channels = self.grid.layout.channels
        self.trunk = Mlp([channels, *[config.hidden] * config.layers], generator=generator)
        head = [] if config.bottleneck is None else [config.bottleneck]
        self.head = nn.ModuleList(
            Mlp([a, b], generator=generator) for a, b in zip([config.hidden, *head], [*head, config.dim], strict=False)
        )

    @property
    def device(self) -> torch.device:
        """Where the parameters live."""
        return self.grid.table.device

    @property
    def dim(self) -> int:
        """Channels D of a feature."""
        return self.config.dim

    def hidden(self, positions: Tensor) -> Tensor:
        """Last hidden layer [S, hidden] at positions [S, 3], normalised frame."""
        return self.decode(self.grid(to_unit_cube(positions, bounded=self.bounded)))

    def decode(self, encoded: Tensor) -> Tensor:
        """Last hidden layer [S, hidden] from the grid's encoding [S, L · F]."""
        return self.trunk(encoded, final_relu=True)

    def finish(self, hidden: Tensor, weight_sum: Tensor) -> Tensor:
        """Rendered features, not yet of unit length.

        Args:
            hidden: Hidden layers summed with the rendering weights [R, hidden].
            weight_sum: Sum of these weights [R]; what is missing to 1 is background, whose feature is 1/√D everywhere.

        Returns:
            Features [R, D].
        """
        for layer in self.head:
            hidden = layer(hidden)
        return hidden + (1.0 - weight_sum)[:, None] * self.dim**-0.5

    def forward(self, positions: Tensor) -> Tensor:
        """Features [S, D] at positions [S, 3], not of unit length."""
        return self.finish(self.hidden(positions), torch.ones(len(positions), device=positions.device))
