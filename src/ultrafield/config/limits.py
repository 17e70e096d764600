"""The range of every setting that is a number.

Ranges are wide, but no value in them starts work without end; what values take together is checked by `check_memory`.
"""

from __future__ import annotations

from .ranges import FRACTION, SEED, Range, Ranges

LEAST_VOXEL = 1e-4  # finer ones could not be numbered

_STEPS = Range(1, 10**7)
_WIDTH = Range(1, 1024)  # channels of a layer
_WEIGHT = Range(0, 10**6)
_RATE = Range(0, 100, above=True)
_DECAY = Range(0, 1, below=True)
_NEIGHBORS = Range(1, 256)
_PER_STEP = 1 << 22  # rays or pixels

GRID: Ranges = {
    "levels": Range(1, 32),
    "features": Range(1, 16),
    "log2_entries": Range(1, 24),
    "base_resolution": Range(1, 1 << 12),
    "max_resolution": Range(1, 1 << 20),
}

GEOMETRY: Ranges = {
    "surface_width_first": Range(1e-5, 1),
    "surface_width_last": Range(1e-5, 1),
    "surface_width_until": Range(0, 1, above=True),
    "surface_sections_from": FRACTION,
    "surface_sections_until": FRACTION,
    "hidden": _WIDTH,
    "color_layers": Range(0, 16),
    "occupancy_resolution": Range(1, 1024),
    "steps": _STEPS,
    "rays": Range(1, _PER_STEP),
    "samples": Range(1, 1 << 24),
    "max_samples_per_ray": Range(1, 1 << 14),
    "cone_angle": FRACTION,
    "min_transmittance": Range(0, 1, above=True),
    "occupancy_every": _STEPS,
    "occupancy_warmup": Range(0, 10**7),
    "occupancy_decay": FRACTION,
    "occupancy_opacity": FRACTION,
    "lr": _RATE,
    "lr_floor": FRACTION,
    "beta2": _DECAY,
    "distortion_weight": _WEIGHT,
    "opacity_weight": _WEIGHT,
    "density_weight": _WEIGHT,
    "density_every": _STEPS,
    "depth_smooth_weight": _WEIGHT,
    "depth_smooth_from": FRACTION,
    "depth_smooth_pixels": Range(1, 1 << 12),
    "depth_smooth_opacity": FRACTION,
    "depth_smooth_tolerance": _WEIGHT,
    "planar_weight": _WEIGHT,
    "outline_share": FRACTION,
    "grid_decay": FRACTION,
    "near_reach": Range(0, 1e3),
}

FEATURES: Ranges = {
    "hidden": _WIDTH,
    "layers": Range(1, 16),
    "dim": _WIDTH,
    "bottleneck": _WIDTH,
    "samples_per_pixel": Range(1, 1024),
    "steps": _STEPS,
    "pixels": Range(2, _PER_STEP),
    "images": Range(1, 1 << 16),
    "mask_balance": FRACTION,
    "pairs_per_mask": Range(1, 1 << 14),
    "negatives": Range(1, 1 << 10),
    "euclidean_weight": _WEIGHT,
    "ultrametric_weight": _WEIGHT,
    "temperature": Range(1e-4, 1000),
    "neighbors": _NEIGHBORS,
    "border_factor": _WEIGHT,
    "border_penalty": _WEIGHT,
    "vote_voxel": Range(LEAST_VOXEL, 1),
    "norm_weight": _WEIGHT,
    "min_pixels": Range(1, _PER_STEP),
    "min_uncovered": Range(0, _PER_STEP),
    "lr": _RATE,
    "lr_floor": FRACTION,
    "beta2": _DECAY,
}

SEGMENT: Ranges = {
    "voxel": Range(LEAST_VOXEL, 2),
    "neighbors": _NEIGHBORS,
    "superpoints": Range(1, 10**7),
    "min_opacity": FRACTION,
    "label_neighbors": _NEIGHBORS,
    "label_radius": Range(0, 10**6, above=True),
    "cuts": Range(1, 1000),
}

RUN: Ranges = {"seed": SEED}
