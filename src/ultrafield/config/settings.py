"""Every setting, as frozen dataclasses.

None switches a setting off or leaves it to be chosen automatically, as its description says. Files of version 0.1 and
the command line may say 0 instead.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ..errors import ConfigError
from .limits import FEATURES, GEOMETRY, GRID, RUN, SEGMENT
from .ranges import check_settings, none_for_zero

BorderWeighting = Literal["any", "share"]
Engine = Literal["field", "lift", "both"]
Linkage = Literal["single", "average"]
Surroundings = Literal["own", "joined"]
Preset = Literal["draft", "standard", "paper"]
RaySampling = Literal["all_images", "same_image"]
Regions = Literal["masks", "pictures"]
Representation = Literal["auto", "surface", "density"]


@dataclass(frozen=True)
class HashGridConfig:
    """A multi-resolution hash grid (Müller et al. 2022); checked by the settings that it is part of.

    Attributes:
        levels: Number of resolutions.
        features: Channels per level.
        log2_entries: Base-2 logarithm of the most entries a level may have; finer levels are hashed.
        base_resolution: Cells along an edge at the coarsest level.
        max_resolution: Cells along an edge at the finest level; resolutions in between grow geometrically.
    """

    levels: int = 8
    features: int = 4
    log2_entries: int = 17
    base_resolution: int = 16
    max_resolution: int = 512

    def check(self, prefix: str) -> None:
        """Raise `ConfigError` for a value that cannot be used; `prefix` goes before its name ("geometry.grid.")."""
        check_settings(self, GRID, prefix=prefix)
        if self.max_resolution < self.base_resolution:
            text = f"expected at least base_resolution ({self.base_resolution}), got {self.max_resolution}"
            raise ConfigError(text, setting=f"{prefix}max_resolution")


@dataclass(frozen=True)
class GeometryConfig:
    """Training of density and colour.

    Attributes:
        grid: Hash grid of the density field.
        representation: What stops light: a "surface", the level set of a function (Wang et al. 2021), or a "density"
            (Mildenhall et al. 2020; paper); "auto" is a surface in a bounded scene and a density in one with
            surroundings, where a surface leaves clouds in front of cameras that were not trained on.
        surface_width_first: Width of the step from empty to full, at first; units of the function.
        surface_width_last: The same at last, about as long as a step of a ray.
        surface_width_until: Fraction of the steps after which it is reached, by the same factor in every step.
        surface_sections_from: Fraction of the steps until which only places have a density (Yariv et al. 2021).
        surface_sections_until: Fraction of the steps from which only the sections of rays count (Wang et al. 2021).
        hidden: Width of the density MLP's and the colour MLP's hidden layers.
        color_layers: Hidden layers of the colour MLP.
        occupancy_resolution: Cells along an edge of each occupancy cascade.
        steps: Optimiser steps.
        rays: Rays of the first step; later ones hold as many as fill `samples`.
        samples: Samples per step to aim for; None keeps the number of rays.
        max_samples_per_ray: Steps along a ray through the whole scene box (bounded scenes).
        cone_angle: Growth of the step with distance (captures with surroundings).
        min_transmittance: A ray ends where less than this share of the light gets through.
        occupancy_every: Steps between refreshes of the occupancy grid.
        occupancy_warmup: Steps during which a refresh visits every cell.
        occupancy_decay: Factor on the densities seen before.
        occupancy_opacity: A cell is occupied if it is as dense as this opacity over a step of √3 / 1024.
        lr: Adam's first learning rate; it falls along a cosine.
        lr_floor: What is left of it at the end, as a fraction.
        beta2: Adam's decay of squared gradients.
        distortion_weight: Weight of the distortion loss (Barron et al. 2022, eq. 15).
        opacity_weight: Weight of the entropy of opacity.
        density_weight: Weight of the mean density.
        density_every: Steps between applications of that weight.
        depth_smooth: Whether depth is smoothed inside leaf masks.
        depth_smooth_weight: Weight of that term.
        depth_smooth_from: Fraction of the steps after which it starts.
        depth_smooth_pixels: Quadruples drawn in each leaf mask, along rows and along columns.
        depth_smooth_opacity: Quadruples count if all their pixels are more opaque than this.
        depth_smooth_tolerance: Third difference that costs nothing.
        planar_weight: Weight of the loss that makes depth planar where masks tell nothing apart; its rays come from
            all pictures.
        outline_share: Share of a step's random rays that are drawn along the outlines of masks instead of anywhere;
            none where training views of a run lack masks, nor with rays from one picture at a time.
        regions: What tells pixels apart for planes and outlines: the "masks", or regions of the "pictures", of the kind
            from which a run makes masks. A run takes pictures for planes where training views lack masks.
        grid_decay: Share that entries of the grid's fine levels lose in each step.
        near_reach: Distance from a camera up to which gradients are weakened by its square (Philip and Deschaintre
            2023), normalised units; 0 for none. Only in captures with surroundings, where cameras stand among what
            they see; density right around them is pressed down too then.
        random_background: Random background colour behind transparent pixels instead of the known one; pictures without
            transparency are taken as opaque.
        alpha_evidence: The same where pictures have transparency, and only there: what they say is opaque, or is not,
            counts as evidence.
        full_size: Whether photographs are used at their own size where views work at the smaller size of their masks;
            not with depth smoothness, which needs the masks' pixels.
        ray_sampling: Rays of a step from all pictures, or from one picture at a time.
        refine_poses: Whether camera poses are optimised too.
        exposure: Whether photographs may differ in exposure: a gain for each of them and each colour channel is learned
            with the field, which has their mean exposure.
    """

    grid: HashGridConfig = field(default_factory=HashGridConfig)
    representation: Representation = "auto"
    surface_width_first: float = 0.05
    surface_width_last: float = 0.008
    surface_width_until: float = 0.7
    surface_sections_from: float = 0.1
    surface_sections_until: float = 0.4
    hidden: int = 32
    color_layers: int = 1
    occupancy_resolution: int = 96
    steps: int = 1500
    rays: int = 4096
    samples: int | None = 7 << 13
    max_samples_per_ray: int = 256
    cone_angle: float = 1.0 / 128
    min_transmittance: float = 1e-3
    occupancy_every: int = 16
    occupancy_warmup: int = 256
    occupancy_decay: float = 0.95
    occupancy_opacity: float = 0.01
    lr: float = 1e-2
    lr_floor: float = 1.0 / 30
    beta2: float = 0.99
    distortion_weight: float = 1e-2
    opacity_weight: float = 1e-3
    density_weight: float = 1e-4
    density_every: int = 32
    depth_smooth: bool = False
    depth_smooth_weight: float = 1.0
    depth_smooth_from: float = 0.1
    depth_smooth_pixels: int = 16
    depth_smooth_opacity: float = 0.9
    depth_smooth_tolerance: float = 0.1
    planar_weight: float = 3e-4
    outline_share: float = 0.25
    regions: Regions = "masks"
    grid_decay: float = 1e-3
    near_reach: float = 2.0
    random_background: bool = False
    alpha_evidence: bool = True
    full_size: bool = True
    ray_sampling: RaySampling = "all_images"
    refine_poses: bool = False
    exposure: bool = False

    @property
    def uses_masks(self) -> bool:
        """Whether training learns from masks: about depth inside them, or where their outlines are."""
        return self.depth_smooth or (self.regions == "masks" and self.uses_regions)

    @property
    def uses_regions(self) -> bool:
        """Whether training must know which pixels belong together."""
        return self.planar_weight > 0 or self.draws_outlines

    @property
    def draws_outlines(self) -> bool:
        """Whether pixels along outlines are drawn more often than others."""
        return self.outline_share > 0 and self.ray_sampling == "all_images"

    def __post_init__(self) -> None:
        none_for_zero(self, "samples")
        check_settings(self, GEOMETRY, prefix="geometry.")
        self.grid.check("geometry.grid.")


@dataclass(frozen=True)
class FeatureConfig:
    """Training of the feature field (paper, sections 3.3 and 3.4).

    Attributes:
        grid: Hash grid of the feature field, coarser than the geometry's.
        hidden: Width of the MLP's hidden layers.
        layers: Hidden layers of the MLP.
        dim: Channels D of the rendered feature.
        bottleneck: Width of the MLP's output before a last linear layer to `dim`; None for no such layer.
        samples_per_pixel: Heaviest volume-rendering samples kept for each pixel.
        steps: Optimiser steps.
        pixels: Pixels per step, from `images` pictures.
        images: Pictures per step.
        mask_balance: Fraction of the pixels drawn from a randomly drawn mask, so that small masks are seen too.
        pairs_per_mask: Comparisons sampled in each mask and relation of masks.
        border_negatives: Whether as many comparisons again are drawn whose negatives lie along the mask's border.
        negatives: Negatives per positive.
        euclidean_weight: Weight of the contrastive loss on cosine similarity.
        ultrametric_weight: Weight of the contrastive loss on bottleneck similarity.
        hierarchical: Whether pairs along the chain of masks are drawn.
        temperature: Temperature of the cross-entropy.
        neighbors: Neighbouring sampled pixels joined in the pixel graph.
        border_weighting: How far a graph edge crosses a border: in full at "any" mask's border (paper), or by the
            "share" of the masks around it that have their border there.
        border_factor: Times its own length, added to an edge that crosses in full.
        border_penalty: Added to the length of an edge that crosses in full, however similar its ends are.
        vote_voxel: Edge of the voxels in which the masks of all views vote on each comparison, normalised frame: a
            negative weighs as much as they say that it is farther than the positive. None weighs all alike (paper).
        norm_weight: Weight of (‖feature‖ − 1)².
        min_pixels: Masks with fewer sampled pixels inside or outside are skipped.
        min_uncovered: A mask with children also gets positives from its own uncovered part if that has so many pixels.
        lr: Adam's first learning rate; it falls along a cosine.
        lr_floor: What is left of it at the end, as a fraction.
        beta2: Adam's decay of squared gradients.
    """

    grid: HashGridConfig = field(default_factory=lambda: HashGridConfig(log2_entries=15, max_resolution=64))
    hidden: int = 64
    layers: int = 1
    dim: int = 128
    bottleneck: int | None = None
    samples_per_pixel: int = 8
    steps: int = 400
    pixels: int = 4096
    images: int = 4
    mask_balance: float = 0.5
    pairs_per_mask: int = 32
    border_negatives: bool = True
    negatives: int = 4
    euclidean_weight: float = 1.0
    ultrametric_weight: float = 0.25
    hierarchical: bool = True
    temperature: float = 0.3
    neighbors: int = 10
    border_weighting: BorderWeighting = "any"
    border_factor: float = 10.0
    border_penalty: float = 0.0
    vote_voxel: float | None = 0.006
    norm_weight: float = 0.1
    min_pixels: int = 5
    min_uncovered: int = 10
    lr: float = 1e-2
    lr_floor: float = 1.0 / 30
    beta2: float = 0.99

    def __post_init__(self) -> None:
        none_for_zero(self, "bottleneck", "vote_voxel")
        check_settings(self, FEATURES, prefix="features.")
        self.grid.check("features.grid.")


@dataclass(frozen=True)
class SegmentConfig:
    """From field to tree and labels.

    Attributes:
        linkage: How region dissimilarity follows from edges.
        voxel: Edge of the thinning voxels as a fraction of half the inner box's edge (0.5 in the normalised frame);
            None chooses it from the pixels' footprint.
        neighbors: Nearest neighbours joined in the surface graph.
        superpoints: Patches of surface that are compared as wholes (engines lift and both); None compares
            neighbouring points only.
        surroundings: Whether what lies around a captured object is a node of its own below the tree's root, which opens
            later than all else (own), or joins the rest like anything (joined); the same where there are none.
        min_opacity: Pixels less opaque than this carry no surface.
        label_neighbors: Nearest surface points that vote on a pixel's label.
        label_radius: Largest distance to them, in voxels.
        cuts: Label maps per view, spread over the tree's range.
    """

    linkage: Linkage = "average"
    voxel: float | None = None
    neighbors: int = 16
    superpoints: int | None = 60_000
    surroundings: Surroundings = "own"
    min_opacity: float = 0.5
    label_neighbors: int = 16
    label_radius: float = 4.0
    cuts: int = 50

    def __post_init__(self) -> None:
        none_for_zero(self, "voxel", "superpoints")
        check_settings(self, SEGMENT, prefix="segment.")


@dataclass(frozen=True)
class Config:
    """All settings of a run; stored as config.json in the run folder."""

    engine: Engine = "lift"
    preset: Preset = "draft"
    seed: int = 0
    geometry: GeometryConfig = field(default_factory=GeometryConfig)
    features: FeatureConfig = field(default_factory=FeatureConfig)
    segment: SegmentConfig = field(default_factory=SegmentConfig)

    def __post_init__(self) -> None:
        check_settings(self, RUN)
