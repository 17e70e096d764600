"""Depth, normals and features as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from ..cameras import RenderedView


def color_picture(view: RenderedView) -> np.ndarray:
    """Rendered colour [H, W, 3], uint8."""
    return view.picture()


def depth_picture(depth: np.ndarray) -> np.ndarray:
    """Depth as colours, near warm and far cold.

    Args:
        depth: [H, W]; 0 or not finite where nothing is seen, which becomes black.

    Returns:
        [H, W, 3], uint8.
    """
    import cv2

    seen = np.isfinite(depth) & (depth > 0)
    picture = np.zeros((*depth.shape, 3), np.uint8)
    if seen.any():
        near, far = np.quantile(depth[seen], [0.01, 0.99])
        nearness = np.clip((far - np.where(seen, depth, far)) / max(far - near, 1e-9), 0.0, 1.0)
        colored = cv2.applyColorMap(np.round(nearness * 255.0).astype(np.uint8), cv2.COLORMAP_TURBO)[..., ::-1]
        picture[seen] = colored[seen]
    return picture


def normal_picture(normals: np.ndarray) -> np.ndarray:
    """Normals as colours, as normal maps usually are: (n + 1) / 2, in axes x right, y up, z towards the viewer.

    Args:
        normals: [H, W, 3], unit length, camera axes (x right, y down, z forward); zero where unknown, which becomes
            black, the colour of no normal.

    Returns:
        [H, W, 3], uint8; 0 stands for −1 and 255 for 1.
    """
    return direction_colors(normals * np.array([1, -1, -1], np.float32))


def direction_colors(directions: np.ndarray) -> np.ndarray:
    """Unit vectors [H, W, 3] as colours, uint8: 0 stands for −1 and 255 for 1; black where a vector is zero."""
    known = (directions != 0).any(axis=2, keepdims=True)
    return np.where(known, np.rint((directions + 1.0) * 127.5), 0).astype(np.uint8)


@dataclass(frozen=True)
class FeatureColors:
    """The three directions in which features vary most, as red, green and blue; one for all views of a scene.

    Attributes:
        mean: [D].
        directions: [D, 3].
        low: Value of each direction that becomes 0 [3].
        high: Value of each direction that becomes 255 [3].
    """

    mean: np.ndarray
    directions: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @classmethod
    def fitted(cls, features: Sequence[np.ndarray]) -> Self:
        """Directions fitted to features, each [N, D]; at least one row in all."""
        rows = np.concatenate(list(features)).astype(np.float64)
        mean = rows.mean(axis=0)
        centred = rows - mean
        _, vectors = np.linalg.eigh(centred.T @ centred)
        directions = vectors[:, :-4:-1]
        # eigh leaves the signs open; this choice makes colours the same from machine to machine.
        directions = directions * np.where(np.abs(directions).max(axis=0) == directions.max(axis=0), 1.0, -1.0)
        low, high = np.quantile(centred @ directions, [0.01, 0.99], axis=0)
        return cls(mean, directions, low, high)

    def picture(self, features: np.ndarray, seen: np.ndarray) -> np.ndarray:
        """Features [P, D] of the P pixels that `seen` [H, W] marks, as a picture [H, W, 3] uint8; black elsewhere."""
        values = (features - self.mean) @ self.directions
        shares = np.clip((values - self.low) / np.maximum(self.high - self.low, 1e-9), 0.0, 1.0)
        picture = np.zeros((*seen.shape, 3), np.uint8)
        picture[seen] = np.round(shares * 255.0).astype(np.uint8)
        return picture
