"""Corresponding pixels of two views, by ground-truth depth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..cameras import Cameras
from ..cameras.projection import PUBLISHED_DEPTH_RANGE, back_project, pixel_indices, project
from ..errors import check_shape

# The published 8-bit depth: z = 8 · (1 − code / 256) in file units, whose cameras are 2.687419 times farther from the
# origin than those of the normalised frame.
_DEPTH_CODES = 256


@dataclass(frozen=True, eq=False, repr=False)
class Correspondence:
    """Map from the pixels of view A to those of view B.

    Attributes:
        target: Row-major pixel index in view B [H, W], int64; −1 where A sees nothing or the point falls outside B.
        seen: Pixels of A whose point is visible in B too [H, W], bool; segments are compared over these.
        mutual: Pixels in `seen` whose pixel in B is marked visible in A as well [H, W], bool; points are drawn from
            these.
        shape: Height and width of view B.
    """

    target: np.ndarray
    seen: np.ndarray
    mutual: np.ndarray
    shape: tuple[int, int]

    def __repr__(self) -> str:
        return f"Correspondence(pixels={self.target.size}, seen={self.seen.sum()}, mutual={self.mutual.sum()})"


def correspond(
    depth: np.ndarray,
    visible: np.ndarray,
    visible_other: np.ndarray | None,
    camera: Cameras,
    other: Cameras,
    *,
    published: bool = False,
) -> Correspondence:
    """Follow every pixel of view A along its ground-truth depth into view B.

    A pixel's centre (column + 0.5, row + 0.5) goes to the point at its depth, the point to continuous coordinates
    (u, v) of view B, and these to the pixel that holds them, floor(u) and floor(v).

    Args:
        depth: z-depth of view A in the cameras' frame [H, W]; 0 where nothing is seen.
        visible: Pixels of A that show what B sees too [H, W], bool.
        visible_other: Pixels of B that show what A sees too [H', W'], bool; None stands for all pixels of B.
        camera: View A's camera, alone.
        other: View B's camera, alone.
        published: Do as the published script does: u − 0.5 and v − 0.5 are truncated, which is half a pixel off,
            points outside the picture are moved to its border, and the depth (normalised frame) goes through 8 bits.

    Raises:
        ValueError: The sizes of cameras and arrays differ.
    """
    height, width = depth.shape
    check_shape("visible", visible, (height, width))
    other_width, other_height = (int(size) for size in other.sizes[0])
    if visible_other is not None:
        check_shape("visible_other", visible_other, (other_height, other_width))
    points = back_project(camera, 0, published_depth(depth) if published else depth).reshape(-1, 3)
    pixels, _ = project(other, 0, points)
    if published:
        pixels = np.clip(np.trunc(pixels - 0.5), 0, (other_width - 1, other_height - 1))
    target = pixel_indices(pixels, other_width, other_height).reshape(height, width)
    seen = visible & (target >= 0)
    mutual = seen if visible_other is None else seen & visible_other.ravel()[target]  # −1 is masked by `seen`
    return Correspondence(target, seen, mutual, (other_height, other_width))


def published_depth(depth: np.ndarray) -> np.ndarray:
    """Normalised z-depth [H, W] after a round trip through the published 8-bit files; 0 comes back as their far end."""
    nearness = np.where(depth > 0, 1.0 - depth / PUBLISHED_DEPTH_RANGE, 0.0)
    codes = np.clip(np.rint(_DEPTH_CODES * nearness), 0, _DEPTH_CODES - 1)
    return PUBLISHED_DEPTH_RANGE * (1.0 - codes / _DEPTH_CODES)
