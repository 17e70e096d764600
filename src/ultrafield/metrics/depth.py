"""How far rendered depth is from exact depth, in pixel footprints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..cameras import Cameras
from ..cameras.pixels import resize_nearest
from ..errors import check_shape
from ..surface.samples import focal_length

FOOTPRINTS = (1.0, 2.0, 5.0)  # of a pixel, beyond which depth counts as off


@dataclass(frozen=True)
class DepthScores:
    """Errors of depth over the foreground pixels of some views: those whose exact depth is known.

    Attributes:
        off: Share of them whose depth is off by more than each of `FOOTPRINTS`.
        median: Median signed error in footprints, positive behind the surface; NaN if no pixel shows a surface.
        transparent: Share of them that show no surface at all.
        pixels: Number of foreground pixels.
    """

    off: tuple[float, ...]
    median: float
    transparent: float
    pixels: int


def evaluate_depth(
    depths: Sequence[np.ndarray] | np.ndarray, exact: Sequence[np.ndarray] | np.ndarray, cameras: Cameras
) -> DepthScores:
    """Compare rendered depth with exact depth.

    A footprint is the edge of the surface patch behind a pixel of the rendered depth map: depth over focal length.

    Args:
        depths: Rendered z-depth of V views [V][H, W], 0 where no surface is shown.
        exact: Exact z-depth [V][h, w] in the same units, 0 where there is nothing; resampled to [H, W].
        cameras: V cameras.

    Raises:
        ValueError: Other numbers of depth maps and cameras.
    """
    if not len(depths) == len(exact) == len(cameras):
        raise ValueError(f"depths: got {len(depths)} maps, {len(exact)} exact ones and {len(cameras)} cameras")
    errors, transparent = [], 0
    for view, rendered in enumerate(depths):
        check_shape(f"depths[{view}]", rendered, (None, None))
        truth = resize_nearest(np.asarray(exact[view]), rendered.shape)
        scaled = cameras[[view]].resized(np.array([rendered.shape[::-1]], np.int64))
        shown = (truth > 0) & (rendered > 0)
        errors.append((rendered[shown] / truth[shown].astype(np.float64) - 1.0) * focal_length(scaled, 0))
        transparent += int(((truth > 0) & ~(rendered > 0)).sum())
    error = np.concatenate([np.zeros(0), *errors])
    pixels = len(error) + transparent
    share = 1.0 / max(pixels, 1)
    return DepthScores(
        off=tuple(float((np.abs(error) > limit).sum() * share) for limit in FOOTPRINTS),
        median=float(np.median(error)) if len(error) else float("nan"),
        transparent=transparent * share,
        pixels=pixels,
    )
